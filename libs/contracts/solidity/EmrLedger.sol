// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Anchors} from "./Anchors.sol";
import {Operations, Reasons} from "./Codes.sol";
import {Governance} from "./Governance.sol";
import {Transfers} from "./Transfers.sol";
import {IEmrLedger} from "./interfaces/IEmrLedger.sol";

/// @title The deployed ledger: takes batches of signed intents, checks who signed what, once, and hands each to its operation
contract EmrLedger is Transfers, Governance, Anchors {
    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant INTENT_TYPE = keccak256(
        "Intent(uint8 operation,bytes32 requestId,bytes32 recordId,bytes parameters,address actor,uint64 deadline,bytes32 authContext)"
    );
    bytes32 private constant NAME = keccak256("EmrLedger");
    bytes32 private constant VERSION = keccak256("1");
    /// Half the order of secp256k1: a signature with a larger s has a twin, and is refused.
    uint256 private constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /// Four bits an operation code below 64: its number of parameter words; 0: no such operation.
    uint256 private constant WORDS = (5 << (4 * Operations.OPEN)) | (2 << (4 * Operations.RELATE))
        | (1 << (4 * Operations.UNRELATE)) | (2 << (4 * Operations.AMEND)) | (4 << (4 * Operations.QUERY))
        | (1 << (4 * Operations.CLOSE)) | (1 << (4 * Operations.REOPEN)) | (8 << (4 * Operations.GRANT))
        | (2 << (4 * Operations.REVOKE)) | (3 << (4 * Operations.FREEZE)) | (7 << (4 * Operations.PROPOSE))
        | (2 << (4 * Operations.ACCEPT)) | (1 << (4 * Operations.COMPLETE)) | (2 << (4 * Operations.REJECT))
        | (2 << (4 * Operations.CANCEL)) | (1 << (4 * Operations.EXPIRE)) | (3 << (4 * Operations.UNFREEZE))
        | (3 << (4 * Operations.REGISTER_ACTOR)) | (2 << (4 * Operations.SET_ACTOR_STATUS))
        | (3 << (4 * Operations.SET_TEAM_MEMBER)) | (5 << (4 * Operations.UPDATE_HOSPITAL))
        | (2 << (4 * Operations.SET_RELAYER)) | (7 << (4 * Operations.VOTE_ADMIT)) | (2 << (4 * Operations.VOTE_STATUS))
        | (1 << (4 * Operations.VOTE_THRESHOLD)) | (9 << (4 * Operations.ANCHOR_LEDGER));

    bytes32 private immutable _domain;

    /// Per relaying hospital and requestId: sequence (64 bits) ‖ first 192 bits of the effect hash. One slot an act.
    mapping(uint32 hospital => mapping(bytes32 requestId => uint256)) private _requests;

    /// @param founding hospitals that need no vote
    /// @param threshold votes a governed change needs from then on
    constructor(HospitalEntry[] memory founding, uint32 threshold) {
        _domain = keccak256(abi.encode(DOMAIN_TYPE, NAME, VERSION, block.chainid, address(this)));
        if (threshold == 0 || threshold > founding.length) revert InvalidThreshold(threshold);
        _threshold = threshold;
        // slither-disable-next-line uninitialized-local: a struct in memory begins as zeros
        Act memory act;
        for (uint256 i = 0; i < founding.length; ++i) _found(act, founding[i]);
        _finish(act);
    }

    /// @inheritdoc IEmrLedger
    function execute(Intent[] calldata intents) external {
        // slither-disable-next-line uninitialized-local: a struct in memory begins as zeros
        Act memory act;
        act.hospital = _relayers[msg.sender];
        if (act.hospital == 0 || !_isActiveHospital(act.hospital)) revert UnknownRelayer(msg.sender);
        if (intents.length == 0) revert EmptyBatch();
        act.sequence = _sequence;
        act.head = _head;
        for (uint256 i = 0; i < intents.length; ++i) _perform(act, intents[i], i);
        _finish(act);
    }

    /// @inheritdoc IEmrLedger
    function requestSequence(uint32 hospital, bytes32 requestId) external view returns (uint64) {
        return uint64(_requests[hospital][requestId] >> 192);
    }

    /// @inheritdoc IEmrLedger
    function domainSeparator() external view returns (bytes32) {
        return _domain;
    }

    /// One act: signed, not seen before, then carried out or refused on record.
    function _perform(Act memory act, Intent calldata intent, uint256 position) private {
        bytes calldata parameters = intent.parameters;
        bytes32 parametersHash = _hash(parameters);
        if (!_isSigned(intent, parametersHash)) {
            emit BadSignature(msg.sender, position);
            return;
        }
        act.operation = intent.operation;
        act.actor = intent.actor;
        act.recordId = intent.recordId;
        act.requestId = intent.requestId;
        act.authContext = intent.authContext;
        uint256 effect = _effect(act, parametersHash);
        uint256 seen = _requests[act.hospital][act.requestId];
        if (seen != 0) {
            uint64 sequence = uint64(seen >> 192);
            if (uint192(seen) == effect) emit Duplicate(act.requestId, position, sequence);
            else emit Mismatch(act.requestId, position, sequence);
            return;
        }
        _requests[act.hospital][act.requestId] = (uint256(act.sequence + 1) << 192) | effect;
        uint256 start;
        assembly ("memory-safe") {
            start := parameters.offset
        }
        act.parameters = start;
        uint8 reason =
            block.timestamp > intent.deadline ? Reasons.DEADLINE_PASSED : _dispatch(act, parameters.length);
        if (reason != 0) _emit(act, AccessDenied.selector, _own(act, act.operation, reason));
    }

    /// Every operation checks before it writes: what it refuses leaves nothing behind.
    /// @return 0, or why the act is refused
    function _dispatch(Act memory act, uint256 length) private returns (uint8) {
        uint8 operation = act.operation;
        uint256 words = operation < 64 ? (WORDS >> (4 * operation)) & 15 : 0;
        if (words == 0) return Reasons.UNKNOWN_OPERATION;
        if (length != 32 * words) return Reasons.MALFORMED;
        if (operation == Operations.QUERY) return _query(act);
        if (operation >= Operations.REGISTER_ACTOR) {
            if (act.recordId != 0) return Reasons.MALFORMED;
            if (operation == Operations.REGISTER_ACTOR) return _registerActor(act);
            if (operation == Operations.SET_ACTOR_STATUS) return _setActorStatus(act);
            if (operation == Operations.SET_TEAM_MEMBER) return _setTeamMember(act);
            if (operation == Operations.UPDATE_HOSPITAL) return _updateHospital(act);
            if (operation == Operations.SET_RELAYER) return _setRelayer(act);
            if (operation == Operations.VOTE_ADMIT) return _voteAdmit(act);
            if (operation == Operations.VOTE_STATUS) return _voteStatus(act);
            if (operation == Operations.VOTE_THRESHOLD) return _voteThreshold(act);
            return _anchorLedger(act);
        }
        if (operation >= Operations.FREEZE) {
            if (operation == Operations.FREEZE) return _freeze(act);
            if (operation == Operations.PROPOSE) return _propose(act);
            if (operation == Operations.ACCEPT) return _accept(act);
            if (operation == Operations.COMPLETE) return _complete(act);
            if (operation == Operations.REJECT) return _reject(act);
            if (operation == Operations.CANCEL) return _cancel(act);
            if (operation == Operations.EXPIRE) return _expire(act);
            return _unfreeze(act);
        }
        if (operation == Operations.OPEN) return _open(act);
        if (operation == Operations.AMEND) return _amend(act);
        if (operation == Operations.RELATE) return _relate(act);
        if (operation == Operations.UNRELATE) return _unrelate(act);
        if (operation == Operations.GRANT) return _grant(act);
        if (operation == Operations.REVOKE) return _revoke(act);
        if (operation == Operations.CLOSE) return _close(act);
        return _reopen(act);
    }

    function _found(Act memory act, HospitalEntry memory entry) private {
        if (_hospitals[entry.id].registrar != address(0) || entry.relayers.length == 0) {
            revert InvalidHospitalEntry(entry.id);
        }
        if (_hospitalCount == MOST_HOSPITALS) revert InvalidHospitalEntry(entry.id);
        _register(
            act, entry.id, entry.registrar, entry.identityKey, entry.transferKey, entry.transferKeyId, entry.endpointHash
        );
        for (uint256 i = 0; i < entry.relayers.length; ++i) {
            if (!_fits(entry.id, entry.registrar, entry.relayers[i])) revert InvalidHospitalEntry(entry.id);
            _addRelayer(act, entry.id, entry.relayers[i]);
        }
    }

    function _finish(Act memory act) private {
        _sequence = act.sequence;
        _head = act.head;
        emit Head(act.sequence, act.head);
    }

    // --- hashes: in memory past the free pointer, so that a batch's memory doesn't grow with its acts --------------

    function _hash(bytes calldata data) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, data.offset, data.length)
            hash := keccak256(free, data.length)
        }
    }

    /// What makes two acts with one requestId the same: operation, record, parameters, actor. First 192 bits.
    function _effect(Act memory act, bytes32 parametersHash) private pure returns (uint256 effect) {
        uint256 operation = act.operation;
        bytes32 recordId = act.recordId;
        address actor = act.actor;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, operation)
            mstore(add(free, 32), recordId)
            mstore(add(free, 64), parametersHash)
            mstore(add(free, 96), actor)
            effect := shr(64, keccak256(free, 128))
        }
    }

    function _isSigned(Intent calldata intent, bytes32 parametersHash) private view returns (bool) {
        bytes calldata signature = intent.signature;
        if (signature.length != 65) return false;
        bytes32 r = bytes32(signature[0:32]);
        bytes32 s = bytes32(signature[32:64]);
        uint8 v = uint8(signature[64]);
        if (uint256(s) > HALF_ORDER || (v != 27 && v != 28)) return false;
        address signer = ecrecover(_digest(intent, parametersHash), v, r, s);
        return signer != address(0) && signer == intent.actor;
    }

    function _digest(Intent calldata intent, bytes32 parametersHash) private view returns (bytes32 digest) {
        bytes32 domain = _domain;
        bytes32 typeHash = INTENT_TYPE;
        uint256 operation = intent.operation;
        bytes32 requestId = intent.requestId;
        bytes32 recordId = intent.recordId;
        address actor = intent.actor;
        uint256 deadline = intent.deadline;
        bytes32 authContext = intent.authContext;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typeHash)
            mstore(add(free, 32), operation)
            mstore(add(free, 64), requestId)
            mstore(add(free, 96), recordId)
            mstore(add(free, 128), parametersHash)
            mstore(add(free, 160), actor)
            mstore(add(free, 192), deadline)
            mstore(add(free, 224), authContext)
            let intentHash := keccak256(free, 256)
            mstore(free, hex"1901")
            mstore(add(free, 2), domain)
            mstore(add(free, 34), intentHash)
            digest := keccak256(free, 66)
        }
    }
}
