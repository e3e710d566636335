// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Reasons, Roles} from "./Codes.sol";
import {Grants} from "./Grants.sol";

/// @title Records: opened, amended, looked at, closed
abstract contract Records is Grants {
    uint8 internal constant HIGHEST_LEVEL = 3;
    uint16 private constant MAY_LOOK =
        Roles.CLINICIAN | Roles.RECORDS_OFFICER | Roles.PRIVACY_OFFICER | Roles.PATIENT | Roles.DEVICE;
    /// Who needs no relation at level 0.
    uint16 private constant MAY_LOOK_AT_LEVEL_0 = Roles.CLINICIAN | Roles.RECORDS_OFFICER | Roles.DEVICE;

    /// Operation OPEN: contentHash, subject, level, origin, originBlock
    function _open(Act memory act) internal returns (uint8) {
        address subject = _address(act, 1);
        uint256 level = _word(act, 2);
        if (_word(act, 0) == 0 || _over(act, 1, 160) || subject == address(0) || level > HIGHEST_LEVEL) {
            return Reasons.MALFORMED;
        }
        (uint8 reason, uint16 held) = _rolesOf(act);
        if (reason != 0) return reason;
        // What arrives from elsewhere may be taken in by a records officer; care itself begins with a clinician.
        uint16 roles = _word(act, 3) == 0 ? Roles.CLINICIAN : Roles.CLINICIAN | Roles.RECORDS_OFFICER;
        if (held & roles == 0) return Reasons.ROLE_MISSING;
        if (uint32(bytes4(act.recordId)) != act.hospital) return Reasons.NOT_CUSTODIAN;
        Record storage record = _records[act.recordId];
        if (record.custodian != 0) return Reasons.RECORD_EXISTS;
        record.custodian = act.hospital;
        record.version = 1;
        record.level = uint8(level);
        record.subject = subject;
        record.contentHash = bytes32(_word(act, 0));
        _startForOpener(act);
        _own(act, 1, _word(act, 0), level, uint160(subject));
        return _emit(act, RecordOpened.selector, _more(act, _word(act, 3), _word(act, 4)));
    }

    /// Operation AMEND: expectedVersion, contentHash
    function _amend(Act memory act) internal returns (uint8) {
        if (_over(act, 0, 32) || _word(act, 1) == 0) return Reasons.MALFORMED;
        Record storage record = _records[act.recordId];
        (uint8 reason,) = _atCustodian(act, record, Roles.CLINICIAN);
        if (reason != 0) return reason;
        if (!_isRelated(act.recordId, act.actor)) return Reasons.NO_RELATION;
        if (record.closed) return Reasons.RECORD_CLOSED;
        if (record.frozen) return Reasons.RECORD_FROZEN;
        if (record.version != _word(act, 0)) return Reasons.VERSION_STALE;
        bytes32 previous = record.contentHash;
        uint32 version = ++record.version;
        record.contentHash = bytes32(_word(act, 1));
        return _emit(act, RecordAmended.selector, _own(act, version, _word(act, 1), uint256(previous)));
    }

    /// Operation QUERY: version, purpose, ttl, basis
    function _query(Act memory act) internal returns (uint8) {
        if (_over(act, 0, 32) || _over(act, 1, 16) || _over(act, 2, 32) || _word(act, 2) == 0) return Reasons.MALFORMED;
        Record storage record = _records[act.recordId];
        if (!_isSubject(act, record)) {
            (uint8 reason, uint16 held) = _rolesOf(act);
            if (reason != 0) return reason;
            if (held & MAY_LOOK == 0) return Reasons.ROLE_MISSING;
            if (record.custodian == 0) return Reasons.RECORD_UNKNOWN;
            reason = _basisOf(act, record, held);
            if (reason != 0) return reason;
        }
        if (_word(act, 1) == 0) return Reasons.PURPOSE_MISSING;
        if (_word(act, 0) == 0 || _word(act, 0) > record.version) return Reasons.VERSION_STALE;
        return _emit(
            act, RecordQueried.selector, _own(act, _word(act, 0), _word(act, 1), _word(act, 2), _word(act, 3))
        );
    }

    /// Operation CLOSE: reason
    function _close(Act memory act) internal returns (uint8) {
        return _setClosed(act, true, RecordClosed.selector);
    }

    /// Operation REOPEN: reason
    function _reopen(Act memory act) internal returns (uint8) {
        return _setClosed(act, false, RecordReopened.selector);
    }

    function _setClosed(Act memory act, bool closed, bytes32 topic) private returns (uint8) {
        if (_over(act, 0, 16)) return Reasons.MALFORMED;
        Record storage record = _records[act.recordId];
        (uint8 reason,) = _atCustodian(act, record, Roles.RECORDS_OFFICER);
        if (reason != 0) return reason;
        if (record.frozen) return Reasons.RECORD_FROZEN;
        if (record.closed == closed) return Reasons.ALREADY_SO;
        record.closed = closed;
        return _emit(act, topic, _own(act, _word(act, 0)));
    }

    /// Whether what the query names as its basis (a grant, a team, or 0: the actor's own standing) covers it.
    /// Approvals per access (levels 2 and 3) and emergency access get their place here.
    function _basisOf(Act memory act, Record storage record, uint16 held) private view returns (uint8) {
        uint256 basis = _word(act, 3);
        if (basis >> 160 != 0) return _grantCovers(act, bytes32(basis), _word(act, 1), record.level);
        if (record.custodian != act.hospital) return Reasons.NO_RELATION;
        if (record.level >= 2) return Reasons.LEVEL_ASKS_MORE;
        address party = basis == 0 ? act.actor : address(uint160(basis));
        if (basis == 0 && record.level == 0 && held & MAY_LOOK_AT_LEVEL_0 != 0) return 0;
        if (basis != 0 && !_isMember(act.hospital, party, act.actor)) return Reasons.NO_RELATION;
        return _isRelated(act.recordId, party) ? 0 : Reasons.NO_RELATION;
    }
}
