// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Reasons, Roles} from "./Codes.sol";
import {Records} from "./Records.sol";

/// @title Transfers between hospitals, as copies
/// @notice FREEZE and UNFREEZE belong to the source's local ledger, the other steps to the ledger both hospitals share;
/// where one ledger serves as both, a record stays frozen while its transfer is live.
///
///   PROPOSED ── accept ──▶ ACCEPTED ── complete ──▶ COMPLETED
///      ├─ reject ─▶ REJECTED   └─ expire ─▶ EXPIRED
///      ├─ cancel ─▶ CANCELLED
///      └─ expire ─▶ EXPIRED
///
/// APPROVE (levels 2 and 3), MOVE_OUT and MOVE_IN get their place beside these steps.
abstract contract Transfers is Records {
    enum State {
        NONE,
        PROPOSED,
        ACCEPTED,
        COMPLETED,
        REJECTED,
        CANCELLED,
        EXPIRED
    }

    /// @dev Two slots.
    struct Transfer {
        bytes32 recordId;
        uint32 from;
        uint32 to;
        uint64 expiresAt; // the last second of block time at which it can go forward
        State state;
    }

    uint256 private constant MODE_COPY = 0;
    uint256 private constant MODE_MOVE = 1;
    uint256 private constant LAST_OUTCOME = 3;

    mapping(bytes32 transferId => Transfer) private _transfers;

    /// Operation FREEZE: transferId, version, contentHash
    function _freeze(Act memory act) internal returns (uint8) {
        if (_word(act, 0) == 0 || _over(act, 1, 32)) return Reasons.MALFORMED;
        Record storage record = _records[act.recordId];
        uint8 reason = _inCharge(act, record);
        if (reason != 0) return reason;
        if (record.frozen) return Reasons.RECORD_FROZEN;
        reason = _isCurrent(record, _word(act, 1), _word(act, 2));
        if (reason != 0) return reason;
        record.frozen = true;
        record.frozenBy = bytes32(_word(act, 0));
        return _emit(act, RecordFrozen.selector, _own(act, _word(act, 0), _word(act, 1), _word(act, 2)));
    }

    /// Operation UNFREEZE: transferId, outcome, proof
    function _unfreeze(Act memory act) internal returns (uint8) {
        if (_word(act, 1) > LAST_OUTCOME) return Reasons.MALFORMED;
        Record storage record = _records[act.recordId];
        uint8 reason = _inCharge(act, record);
        if (reason != 0) return reason;
        if (!record.frozen) return Reasons.ALREADY_SO;
        bytes32 transferId = bytes32(_word(act, 0));
        if (record.frozenBy != transferId) return Reasons.TRANSFER_UNKNOWN;
        State state = _transfers[transferId].state;
        if (state == State.PROPOSED || state == State.ACCEPTED) return Reasons.TRANSFER_STATE;
        record.frozen = false;
        delete record.frozenBy;
        return _emit(act, RecordUnfrozen.selector, _own(act, _word(act, 0), _word(act, 1), _word(act, 2)));
    }

    /// Operation PROPOSE: transferId, toHospital, version, contentHash, mode, ttl, proof
    function _propose(Act memory act) internal returns (uint8) {
        if (_word(act, 0) == 0 || _over(act, 1, 32) || _over(act, 2, 32) || _word(act, 4) > MODE_MOVE) {
            return Reasons.MALFORMED;
        }
        if (_word(act, 5) == 0 || _over(act, 5, 32)) return Reasons.MALFORMED;
        Record storage record = _records[act.recordId];
        uint8 reason = _inCharge(act, record);
        if (reason != 0) return reason;
        if (_word(act, 4) != MODE_COPY) return Reasons.NOT_SUPPORTED;
        if (_word(act, 1) == act.hospital) return Reasons.TRANSFER_PARTY;
        if (!_isActiveHospital(_word(act, 1))) return Reasons.HOSPITAL_UNKNOWN;
        if (record.level >= 2) return Reasons.LEVEL_ASKS_MORE;
        if (record.offered) return Reasons.TRANSFER_LIVE;
        bytes32 transferId = bytes32(_word(act, 0));
        if (record.frozen && record.frozenBy != transferId) return Reasons.RECORD_FROZEN;
        Transfer storage transfer = _transfers[transferId];
        if (transfer.state != State.NONE) return Reasons.TRANSFER_STATE;
        reason = _isCurrent(record, _word(act, 2), _word(act, 3));
        if (reason != 0) return reason;
        uint256 expiresAt = block.timestamp + _word(act, 5);
        record.offered = true;
        transfer.recordId = act.recordId;
        transfer.from = act.hospital;
        transfer.to = uint32(_word(act, 1));
        transfer.expiresAt = uint64(expiresAt);
        transfer.state = State.PROPOSED;
        _own(act, _word(act, 0), _word(act, 1), _word(act, 2), _word(act, 3));
        return _emit(act, TransferProposed.selector, _more(act, _word(act, 4), expiresAt, _word(act, 6)));
    }

    /// Operation ACCEPT: transferId, packageHash. Only who opened the package can name its hash.
    function _accept(Act memory act) internal returns (uint8) {
        if (_word(act, 1) == 0) return Reasons.MALFORMED;
        (uint8 reason, Transfer storage transfer) = _step(act);
        if (reason != 0) return reason;
        if (transfer.to != act.hospital) return Reasons.TRANSFER_PARTY;
        if (transfer.state != State.PROPOSED) return Reasons.TRANSFER_STATE;
        if (block.timestamp > transfer.expiresAt) return Reasons.TRANSFER_EXPIRED;
        transfer.state = State.ACCEPTED;
        return _emit(act, TransferAccepted.selector, _own(act, _word(act, 0), _word(act, 1)));
    }

    /// Operation REJECT: transferId, reason
    function _reject(Act memory act) internal returns (uint8) {
        if (_over(act, 1, 16)) return Reasons.MALFORMED;
        (uint8 reason, Transfer storage transfer) = _step(act);
        if (reason != 0) return reason;
        if (transfer.to != act.hospital) return Reasons.TRANSFER_PARTY;
        if (transfer.state != State.PROPOSED) return Reasons.TRANSFER_STATE;
        if (block.timestamp > transfer.expiresAt) return Reasons.TRANSFER_EXPIRED;
        _end(act, transfer, State.REJECTED);
        return _emit(act, TransferRejected.selector, _own(act, _word(act, 0), _word(act, 1)));
    }

    /// Operation COMPLETE: transferId
    function _complete(Act memory act) internal returns (uint8) {
        (uint8 reason, Transfer storage transfer) = _step(act);
        if (reason != 0) return reason;
        if (transfer.from != act.hospital) return Reasons.TRANSFER_PARTY;
        if (transfer.state != State.ACCEPTED) return Reasons.TRANSFER_STATE;
        if (block.timestamp > transfer.expiresAt) return Reasons.TRANSFER_EXPIRED;
        _end(act, transfer, State.COMPLETED);
        return _emit(act, TransferCompleted.selector, _own(act, _word(act, 0)));
    }

    /// Operation CANCEL: transferId, reason
    function _cancel(Act memory act) internal returns (uint8) {
        if (_over(act, 1, 16)) return Reasons.MALFORMED;
        (uint8 reason, Transfer storage transfer) = _step(act);
        if (reason != 0) return reason;
        if (transfer.from != act.hospital) return Reasons.TRANSFER_PARTY;
        if (transfer.state != State.PROPOSED) return Reasons.TRANSFER_STATE;
        _end(act, transfer, State.CANCELLED);
        return _emit(act, TransferCancelled.selector, _own(act, _word(act, 0), _word(act, 1)));
    }

    /// Operation EXPIRE: transferId
    function _expire(Act memory act) internal returns (uint8) {
        (uint8 reason, Transfer storage transfer) = _step(act);
        if (reason != 0) return reason;
        if (transfer.from != act.hospital && transfer.to != act.hospital) return Reasons.TRANSFER_PARTY;
        if (transfer.state != State.PROPOSED && transfer.state != State.ACCEPTED) return Reasons.TRANSFER_STATE;
        if (block.timestamp <= transfer.expiresAt) return Reasons.TRANSFER_STATE;
        _end(act, transfer, State.EXPIRED);
        return _emit(act, TransferExpired.selector, _own(act, _word(act, 0)));
    }

    /// What every step after the proposal asks: an actor who may take it, and a transfer of this record.
    /// No relation is asked for: a transfer under way can be ended even when its proposer has left.
    function _step(Act memory act) private view returns (uint8 reason, Transfer storage transfer) {
        transfer = _transfers[bytes32(_word(act, 0))];
        uint16 held;
        (reason, held) = _rolesOf(act);
        if (reason != 0) return (reason, transfer);
        if (held & (Roles.CLINICIAN | Roles.RECORDS_OFFICER) == 0) return (Reasons.ROLE_MISSING, transfer);
        if (_records[act.recordId].custodian == 0) return (Reasons.RECORD_UNKNOWN, transfer);
        if (transfer.recordId != act.recordId) return (Reasons.TRANSFER_UNKNOWN, transfer);
    }

    function _end(Act memory act, Transfer storage transfer, State state) private {
        transfer.state = state;
        _records[act.recordId].offered = false;
    }

    function _isCurrent(Record storage record, uint256 version, uint256 contentHash) private view returns (uint8) {
        if (record.version != version) return Reasons.VERSION_STALE;
        return uint256(record.contentHash) == contentHash ? 0 : Reasons.CONTENT_MISMATCH;
    }
}
