// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Reasons, Roles} from "./Codes.sol";
import {Actors} from "./Actors.sol";

/// @title Who cares for a record's subject
/// @notice Relations are within the custodian's hospital; what reaches beyond it is a grant.
abstract contract Relations is Actors {
    uint64 private constant WITHOUT_END = type(uint64).max;

    /// Until when (block time, exclusive) a party, an actor or a team, is related to a record. 0: never was.
    mapping(bytes32 recordId => mapping(address party => uint64 until)) private _relations;

    function _isRelated(bytes32 recordId, address party) internal view returns (bool) {
        return block.timestamp < _relations[recordId][party];
    }

    /// The patient's own key: a per-record address that acts through the custodian without being registered.
    function _isSubject(Act memory act, Record storage record) internal view returns (bool) {
        return record.custodian == act.hospital && record.subject == act.actor;
    }

    /// The actor is registered and active, has one of `roles`, and its hospital has custody of the record.
    /// @return reason 0 when so
    /// @return held all of the actor's roles
    function _atCustodian(Act memory act, Record storage record, uint16 roles)
        internal
        view
        returns (uint8 reason, uint16 held)
    {
        (reason, held) = _rolesOf(act);
        if (reason != 0) return (reason, held);
        if (held & roles == 0) return (Reasons.ROLE_MISSING, held);
        if (record.custodian == 0) return (Reasons.RECORD_UNKNOWN, held);
        if (record.custodian != act.hospital) return (Reasons.NOT_CUSTODIAN, held);
    }

    /// The actor is a related clinician of the custodian, or one of its records officers.
    function _inCharge(Act memory act, Record storage record) internal view returns (uint8) {
        (uint8 reason, uint16 held) = _atCustodian(act, record, Roles.CLINICIAN | Roles.RECORDS_OFFICER);
        if (reason != 0) return reason;
        if (held & Roles.RECORDS_OFFICER != 0 || _isRelated(act.recordId, act.actor)) return 0;
        return Reasons.NO_RELATION;
    }

    function _startForOpener(Act memory act) internal {
        _relations[act.recordId][act.actor] = WITHOUT_END;
    }

    /// Operation RELATE: party, duration. Again for a related party: another end.
    function _relate(Act memory act) internal returns (uint8) {
        if (_over(act, 0, 160) || _word(act, 0) == 0 || _over(act, 1, 32)) return Reasons.MALFORMED;
        uint8 reason = _inCharge(act, _records[act.recordId]);
        if (reason != 0) return reason;
        uint256 duration = _word(act, 1);
        uint64 until = duration == 0 ? 0 : uint64(block.timestamp + duration);
        _relations[act.recordId][_address(act, 0)] = duration == 0 ? WITHOUT_END : until;
        return _emit(act, RelationStarted.selector, _own(act, _word(act, 0), until));
    }

    /// Operation UNRELATE: party
    function _unrelate(Act memory act) internal returns (uint8) {
        if (_over(act, 0, 160)) return Reasons.MALFORMED;
        uint8 reason = _inCharge(act, _records[act.recordId]);
        if (reason != 0) return reason;
        if (_relations[act.recordId][_address(act, 0)] == 0) return Reasons.RELATION_UNKNOWN;
        delete _relations[act.recordId][_address(act, 0)];
        return _emit(act, RelationEnded.selector, _own(act, _word(act, 0)));
    }
}
