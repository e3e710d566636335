// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IEmrLedger} from "./interfaces/IEmrLedger.sol";

/// @title The act at hand, the ledger's order, and how an event takes its place in it
/// @notice Every part of the ledger ends an act through `_emit`, the only place where sequence and heads move.
abstract contract LedgerCore is IEmrLedger {
    /// Words of topics and frame that precede an event's own words, and the most own words any event has.
    uint256 private constant FRAME_WORDS = 9;
    uint256 private constant MOST_OWN_WORDS = 9;

    /// @dev One instance in memory serves a whole batch: the ledger's sequence and head live in it and are stored once at
    /// the end. `frame` holds topics and data of the event being made, contiguous, so that one hash covers the leaf.
    struct Act {
        uint256 parameters; // position of the first parameter word in calldata
        uint8 operation;
        uint32 hospital;
        address actor;
        bytes32 recordId;
        bytes32 requestId;
        bytes32 authContext;
        uint64 sequence;
        bytes32 head;
        uint256[FRAME_WORDS + MOST_OWN_WORDS] frame;
    }

    /// @dev The first slot is what every act on a record reads and writes. `custodian` 0: there is no such record.
    struct Record {
        uint64 sequence;
        uint32 custodian;
        uint32 version;
        uint8 level;
        bool closed;
        bool frozen;
        bool offered; // a transfer of it is live on this ledger
        bytes32 head;
        address subject;
        bytes32 contentHash;
        bytes32 frozenBy; // transferId
    }

    uint64 internal _sequence;
    bytes32 internal _head;
    mapping(bytes32 recordId => Record) internal _records;

    /// @inheritdoc IEmrLedger
    function head() external view returns (uint64, bytes32) {
        return (_sequence, _head);
    }

    /// @inheritdoc IEmrLedger
    function recordHead(bytes32 recordId) external view returns (uint64, bytes32) {
        Record storage record = _records[recordId];
        return (record.sequence, record.head);
    }

    // --- parameters ----------------------------------------------------------------------------------------------

    /// The parameter word at `index`.
    function _word(Act memory act, uint256 index) internal pure returns (uint256 word) {
        uint256 position = act.parameters + 32 * index;
        assembly ("memory-safe") {
            word := calldataload(position)
        }
    }

    /// Whether the parameter word at `index` has bits beyond its lowest `bits`.
    function _over(Act memory act, uint256 index, uint256 bits) internal pure returns (bool) {
        return _word(act, index) >> bits != 0;
    }

    function _address(Act memory act, uint256 index) internal pure returns (address) {
        return address(uint160(_word(act, index)));
    }

    // --- events --------------------------------------------------------------------------------------------------

    function _own(Act memory act, uint256 a) internal pure returns (uint256) {
        act.frame[9] = a;
        return 1;
    }

    function _own(Act memory act, uint256 a, uint256 b) internal pure returns (uint256) {
        act.frame[10] = b;
        return _own(act, a) + 1;
    }

    function _own(Act memory act, uint256 a, uint256 b, uint256 c) internal pure returns (uint256) {
        act.frame[11] = c;
        return _own(act, a, b) + 1;
    }

    function _own(Act memory act, uint256 a, uint256 b, uint256 c, uint256 d) internal pure returns (uint256) {
        act.frame[12] = d;
        return _own(act, a, b, c) + 1;
    }

    /// Words after the first four.
    function _more(Act memory act, uint256 e, uint256 f) internal pure returns (uint256) {
        act.frame[13] = e;
        act.frame[14] = f;
        return 6;
    }

    function _more(Act memory act, uint256 e, uint256 f, uint256 g) internal pure returns (uint256) {
        act.frame[15] = g;
        return _more(act, e, f) + 1;
    }

    function _more(Act memory act, uint256 e, uint256 f, uint256 g, uint256 h) internal pure returns (uint256) {
        act.frame[16] = h;
        return _more(act, e, f, g) + 1;
    }

    /// The first `count` parameter words, as they came.
    function _ownParameters(Act memory act, uint256 count) internal pure returns (uint256) {
        for (uint256 i = 0; i < count; ++i) act.frame[FRAME_WORDS + i] = _word(act, i);
        return count;
    }

    /// Emits a sequenced event of `own` words (set before) and moves the ledger's and the record's sequence and head.
    /// @return 0, the reason that stands for success: so an operation ends with `return _emit(…)`
    function _emit(Act memory act, bytes32 topic, uint256 own) internal returns (uint8) {
        uint64 sequence = ++act.sequence;
        uint256[FRAME_WORDS + MOST_OWN_WORDS] memory frame = act.frame;
        frame[0] = uint256(topic);
        frame[1] = sequence;
        frame[2] = uint256(act.recordId);
        frame[3] = uint160(act.actor);
        frame[4] = uint256(act.requestId);
        frame[5] = 0;
        frame[6] = 0;
        frame[7] = uint256(act.authContext);
        frame[8] = act.hospital;
        bytes32 leaf;
        Record storage record = _records[act.recordId];
        // No record has id 0 (its prefix is a hospital's id), so acts without a record need no look at storage.
        if (act.recordId != 0 && record.custodian != 0) {
            uint64 recordSequence = ++record.sequence;
            bytes32 before = record.head;
            frame[5] = recordSequence;
            frame[6] = uint256(before);
            leaf = _log(frame, own);
            record.head = _fold(before, recordSequence, leaf);
        } else {
            leaf = _log(frame, own);
        }
        act.head = _fold(act.head, sequence, leaf);
        return 0;
    }

    function _log(uint256[FRAME_WORDS + MOST_OWN_WORDS] memory frame, uint256 own) private returns (bytes32 leaf) {
        uint256 words = FRAME_WORDS + own;
        assembly ("memory-safe") {
            leaf := keccak256(frame, mul(words, 32))
            log4(
                add(frame, 128),
                mul(sub(words, 4), 32),
                mload(frame),
                mload(add(frame, 32)),
                mload(add(frame, 64)),
                mload(add(frame, 96))
            )
        }
    }

    /// keccak256(previous, sequence, leaf), in memory past the free pointer: nothing of a batch's memory grows with its acts.
    function _fold(bytes32 previous, uint64 sequence, bytes32 leaf) private pure returns (bytes32 folded) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, previous)
            mstore(add(free, 32), sequence)
            mstore(add(free, 64), leaf)
            folded := keccak256(free, 96)
        }
    }
}
