// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Reasons} from "./Codes.sol";
import {Hospitals} from "./Hospitals.sol";

/// @title How far each hospital's own ledger had come, on record with all the others
/// @notice Of every network a hospital keeps for itself, the anchors form one line: each says where the last one ended, and
/// ends where the fold of the events between leads. What the ledger can't know, whether that fold is true, the other
/// hospitals find out: they ask for the leaves.
abstract contract Anchors is Hospitals {
    /// @dev Three slots. `sequence` counts events of the hospital's ledger, `accessSequence` entries of its access log.
    struct Anchor {
        uint64 sequence;
        uint64 height;
        uint64 accessSequence;
        bytes32 head;
        bytes32 accessHead;
    }

    mapping(uint32 hospital => mapping(uint64 chainId => Anchor)) private _anchors;

    /// Operation ANCHOR_LEDGER: localChainId, block, blockHash, previousSequence, previousHead, localSequence, localHead, accessSequence, accessHead
    function _anchorLedger(Act memory act) internal returns (uint8) {
        // 63 bits: what a signed 64-bit column of a database can hold, and no history will reach.
        if (_over(act, 0, 63) || _over(act, 1, 63) || _over(act, 3, 63) || _over(act, 5, 63) || _over(act, 7, 63)) {
            return Reasons.MALFORMED;
        }
        if (_hospitals[act.hospital].registrar != act.actor) return Reasons.NOT_REGISTRAR;
        Anchor storage anchor = _anchors[act.hospital][uint64(_word(act, 0))];
        uint256 last = anchor.sequence;
        uint256 lastAccess = anchor.accessSequence;
        uint256 localSequence = _word(act, 5);
        uint256 accessSequence = _word(act, 7);
        bytes32 localHead = bytes32(_word(act, 6));
        bytes32 accessHead = bytes32(_word(act, 8));
        if (_word(act, 3) != last || bytes32(_word(act, 4)) != anchor.head || _word(act, 1) < anchor.height) {
            return Reasons.ANCHOR_BROKEN;
        }
        if (localSequence < last || (localSequence == last && localHead != anchor.head)) return Reasons.ANCHOR_BROKEN;
        if (accessSequence < lastAccess || (accessSequence == lastAccess && accessHead != anchor.accessHead)) {
            return Reasons.ANCHOR_BROKEN;
        }
        if (localSequence == last && accessSequence == lastAccess) return Reasons.ALREADY_SO;
        anchor.sequence = uint64(localSequence);
        anchor.height = uint64(_word(act, 1));
        anchor.accessSequence = uint64(accessSequence);
        anchor.head = localHead;
        anchor.accessHead = accessHead;
        return _emit(act, LedgerAnchored.selector, _ownParameters(act, 9));
    }
}
