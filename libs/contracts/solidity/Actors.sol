// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Reasons} from "./Codes.sol";
import {Hospitals} from "./Hospitals.sol";

/// @title Actors and teams, kept by each hospital's registrar
abstract contract Actors is Hospitals {
    /// @dev One slot. `hospital` 0: not registered.
    struct Actor {
        uint32 hospital;
        uint16 roles;
        uint8 custody;
        bool suspended;
    }

    uint256 private constant ALL_ROLES = 0x7f;

    mapping(address account => Actor) private _actors;
    mapping(uint32 hospital => mapping(address team => mapping(address member => bool))) private _teams;

    /// Roles of the act's actor, as the hospital that relays it registered them.
    /// @return reason 0 when the actor is registered there and active
    function _rolesOf(Act memory act) internal view returns (uint8 reason, uint16 roles) {
        Actor memory actor = _actors[act.actor];
        if (actor.hospital != act.hospital) return (Reasons.ACTOR_UNKNOWN, 0);
        if (actor.suspended) return (Reasons.ACTOR_SUSPENDED, 0);
        return (0, actor.roles);
    }

    function _isMember(uint32 hospital, address team, address member) internal view returns (bool) {
        return _teams[hospital][team][member];
    }

    /// Operation REGISTER_ACTOR: account, roles, custody. Again for an active actor of the same custody: other roles.
    function _registerActor(Act memory act) internal returns (uint8) {
        uint256 roles = _word(act, 1);
        uint256 custody = _word(act, 2);
        address account = _address(act, 0);
        if (_over(act, 0, 160) || account == address(0) || roles == 0 || roles > ALL_ROLES || custody > 1) {
            return Reasons.MALFORMED;
        }
        if (_hospitals[act.hospital].registrar != act.actor) return Reasons.NOT_REGISTRAR;
        Actor storage actor = _actors[account];
        if (actor.hospital != 0) {
            // A key once held by a gateway is never the actor's own.
            if (actor.hospital != act.hospital || actor.custody != custody) return Reasons.ACTOR_EXISTS;
            if (actor.suspended) return Reasons.ACTOR_SUSPENDED;
            if (actor.roles == roles) return Reasons.ALREADY_SO;
        }
        _actors[account] = Actor(act.hospital, uint16(roles), uint8(custody), false);
        return _emit(act, ActorRegistered.selector, _own(act, uint160(account), roles, custody));
    }

    /// Operation SET_ACTOR_STATUS: account, active
    function _setActorStatus(Act memory act) internal returns (uint8) {
        if (_over(act, 0, 160) || _over(act, 1, 1)) return Reasons.MALFORMED;
        if (_hospitals[act.hospital].registrar != act.actor) return Reasons.NOT_REGISTRAR;
        Actor storage actor = _actors[_address(act, 0)];
        bool suspended = _word(act, 1) == 0;
        if (actor.hospital != act.hospital) return Reasons.ACTOR_UNKNOWN;
        if (actor.suspended == suspended) return Reasons.ALREADY_SO;
        actor.suspended = suspended;
        return _emit(act, ActorStatusChanged.selector, _own(act, _word(act, 0), _word(act, 1)));
    }

    /// Operation SET_TEAM_MEMBER: team, member, active. A team is an address that its hospital chose; it has no key.
    function _setTeamMember(Act memory act) internal returns (uint8) {
        if (_over(act, 0, 160) || _over(act, 1, 160) || _over(act, 2, 1) || _word(act, 0) == 0) return Reasons.MALFORMED;
        if (_hospitals[act.hospital].registrar != act.actor) return Reasons.NOT_REGISTRAR;
        address team = _address(act, 0);
        address member = _address(act, 1);
        bool active = _word(act, 2) == 1;
        if (_actors[member].hospital != act.hospital) return Reasons.ACTOR_UNKNOWN;
        if (_teams[act.hospital][team][member] == active) return Reasons.ALREADY_SO;
        _teams[act.hospital][team][member] = active;
        return _emit(act, TeamMemberChanged.selector, _own(act, uint160(team), uint160(member), active ? 1 : 0));
    }
}
