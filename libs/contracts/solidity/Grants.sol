// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Reasons, Roles} from "./Codes.sol";
import {Relations} from "./Relations.sol";

/// @title Consent: what a record's subject, or a privacy officer with the subject's written consent, allows to others
abstract contract Grants is Relations {
    /// @dev Two slots. `hospital` 0: there is no such grant.
    struct Grant {
        address grantee; // an actor, a team of `hospital`, or 0: any actor of `hospital`
        uint32 hospital;
        uint32 operations; // bit n: the operation with code n
        uint16 purpose; // 0: any
        bool revoked;
        uint64 notBefore;
        uint64 notAfter; // 0: without end
    }

    mapping(bytes32 recordId => mapping(bytes32 grantId => Grant)) private _grants;

    /// Operation GRANT: grantId, grantee, granteeHospital, operations, purpose, delay, duration, consentHash
    function _grant(Act memory act) internal returns (uint8) {
        // An id that fits an address would be taken for a team where a query names its basis.
        if (!_over(act, 0, 160) || _over(act, 1, 160) || _over(act, 2, 32) || _word(act, 3) == 0 || _over(act, 3, 32)) {
            return Reasons.MALFORMED;
        }
        if (_over(act, 4, 16) || _over(act, 5, 32) || _over(act, 6, 32)) return Reasons.MALFORMED;
        uint8 reason = _mayGive(act, _word(act, 7));
        if (reason != 0) return reason;
        if (!_isActiveHospital(_word(act, 2))) return Reasons.HOSPITAL_UNKNOWN;
        Grant storage given = _grants[act.recordId][bytes32(_word(act, 0))];
        if (given.hospital != 0) return Reasons.GRANT_EXISTS;
        uint256 notBefore = block.timestamp + _word(act, 5);
        uint256 notAfter = _word(act, 6) == 0 ? 0 : notBefore + _word(act, 6);
        given.grantee = _address(act, 1);
        given.hospital = uint32(_word(act, 2));
        given.operations = uint32(_word(act, 3));
        given.purpose = uint16(_word(act, 4));
        given.notBefore = uint64(notBefore);
        given.notAfter = uint64(notAfter);
        _own(act, _word(act, 0), _word(act, 1), _word(act, 2), _word(act, 3));
        return _emit(act, AccessGranted.selector, _more(act, _word(act, 4), notBefore, notAfter, _word(act, 7)));
    }

    /// Operation REVOKE: grantId, reason
    function _revoke(Act memory act) internal returns (uint8) {
        if (_over(act, 1, 16)) return Reasons.MALFORMED;
        uint8 reason = _mayGive(act, 1);
        if (reason != 0) return reason;
        Grant storage given = _grants[act.recordId][bytes32(_word(act, 0))];
        if (given.hospital == 0) return Reasons.GRANT_UNKNOWN;
        if (given.revoked) return Reasons.ALREADY_SO;
        given.revoked = true;
        return _emit(act, AccessRevoked.selector, _own(act, _word(act, 0), _word(act, 1)));
    }

    // Slither takes the whole struct for a time because it holds two; what is compared for equality are ids and flags.
    // slither-disable-start incorrect-equality
    /// Whether the grant `grantId` covers the act, at the record's level, for `purpose`.
    function _grantCovers(Act memory act, bytes32 grantId, uint256 purpose, uint8 level) internal view returns (uint8) {
        Grant memory given = _grants[act.recordId][grantId];
        if (given.hospital == 0) return Reasons.GRANT_UNKNOWN;
        if (given.hospital != act.hospital) return Reasons.NO_RELATION;
        if (
            given.grantee != address(0) && given.grantee != act.actor
                && !_isMember(act.hospital, given.grantee, act.actor)
        ) return Reasons.NO_RELATION;
        if (
            given.revoked || block.timestamp < given.notBefore
                || (given.notAfter != 0 && block.timestamp > given.notAfter)
                || given.operations & (1 << act.operation) == 0 || (given.purpose != 0 && given.purpose != purpose)
        ) return Reasons.GRANT_INACTIVE;
        if ((level >= 2 && given.purpose == 0) || (level >= 3 && given.notAfter == 0)) return Reasons.LEVEL_ASKS_MORE;
        return 0;
    }
    // slither-disable-end incorrect-equality

    /// The subject may, and a privacy officer of the custodian who shows the subject's consent.
    function _mayGive(Act memory act, uint256 consentHash) private view returns (uint8 reason) {
        Record storage record = _records[act.recordId];
        if (_isSubject(act, record)) return 0;
        (reason,) = _atCustodian(act, record, Roles.PRIVACY_OFFICER);
        if (reason == 0 && consentHash == 0) return Reasons.CONSENT_MISSING;
    }
}
