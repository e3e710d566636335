// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Operations} from "../solidity/Codes.sol";
import {IEmrLedger} from "../solidity/interfaces/IEmrLedger.sol";
import {LedgerTest, Vm} from "./LedgerTest.sol";

/// @notice Acts at random on few records, transfers and actors, so that acts meet; keeps its own model from the events
/// alone and reverts, which fails the campaign, when the ledger leaves it.
contract LedgerHandler is LedgerTest {
    uint256 private constant RECORDS = 4;
    uint256 private constant TRANSFERS = 6;
    // Where the compiler puts them: the first variables of the first base.
    bytes32 private constant SEQUENCE_SLOT = bytes32(uint256(0));
    bytes32 private constant HEAD_SLOT = bytes32(uint256(1));
    uint256 private constant RECORDS_SLOT = 2;

    enum State {
        NONE,
        PROPOSED,
        ACCEPTED,
        ENDED
    }

    /// The model.
    uint64 public sequence;
    bytes32 public head;
    mapping(bytes32 recordId => uint64) public recordSequence;
    mapping(bytes32 recordId => bytes32) public recordHead;
    mapping(bytes32 recordId => uint32) public custodian;
    mapping(bytes32 recordId => uint32) public version;
    mapping(bytes32 recordId => bytes32) public frozenBy;
    mapping(bytes32 recordId => bytes32) public liveTransfer;
    mapping(bytes32 transferId => State) public transferState;
    mapping(bytes32 transferId => uint256) public expiresAt;
    mapping(uint32 hospital => mapping(bytes32 requestId => uint64)) public decidedAt;
    /// Where a hospital's last anchor of a network ended: height, sequence, head, entries and head of the access log.
    mapping(uint32 hospital => mapping(uint256 chainId => uint256[5])) public anchored;
    uint256 public effects;
    uint256 public refusals;
    mapping(bytes32 topic => uint256) public seen;

    IEmrLedger.Intent[] private _sent;
    uint32[] private _sentVia;

    constructor() {
        // What the deployment and the registrations did.
        (sequence, head) = ledger.head();
    }

    /// An act, mostly of a party that may do it, on parameters that mostly fit.
    function act(uint256 seed) external {
        (uint32 via, IEmrLedger.Intent memory made) = _any(seed);
        _sendOne(via, made);
    }

    /// Several in one transaction.
    function acts(uint256 seed, uint8 count) external {
        uint32 via = _pick(seed, 99, 2) == 0 ? A : B;
        IEmrLedger.Intent[] memory batch = new IEmrLedger.Intent[](1 + count % 5);
        for (uint256 i = 0; i < batch.length; ++i) (, batch[i]) = _any(uint256(keccak256(abi.encode(seed, i))));
        Vm.Log[] memory logs = send(via, batch);
        check(_fold(via, logs, 0) >= batch.length, "an act left no event");
    }

    /// One that was sent before, as it was or changed and signed anew.
    function again(uint256 seed) external {
        if (_sent.length == 0) return;
        uint256 index = seed % _sent.length;
        IEmrLedger.Intent memory made = _sent[index];
        uint256 key = _keyOf(made.actor);
        bool changed = _pick(seed, 1, 2) == 0;
        if (changed) made.parameters = bytes.concat(made.parameters, bytes32(seed));
        made.authContext = bytes32(seed);
        sign(made, key);
        (uint64 before, bytes32 headBefore) = ledger.head();
        Vm.Log[] memory logs = send(_sentVia[index], one(made));
        expectEvent(logs[0], changed ? IEmrLedger.Mismatch.selector : IEmrLedger.Duplicate.selector);
        check(wordOf(logs[0], 1) == decidedAt[_sentVia[index]][made.requestId], "decided elsewhere");
        (uint64 sequenceAfter, bytes32 headAfter) = ledger.head();
        check(before == sequenceAfter && headBefore == headAfter, "a repeat moved the ledger");
    }

    /// One that its actor did not sign.
    function forged(uint256 seed) external {
        (uint32 via, IEmrLedger.Intent memory made) = _any(seed);
        made.signature[seed % 65] ^= 0x01;
        vm.record();
        Vm.Log[] memory logs = send(via, one(made));
        expectEvent(logs[0], IEmrLedger.BadSignature.selector);
        _onlyWrote(0, false, via, made.requestId);
        check(_fold(via, logs, 0) == 1, "a forged act has one answer");
    }

    function time(uint16 passed) external {
        vm.warp(block.timestamp + passed);
    }

    function records() external pure returns (bytes32[] memory ids) {
        ids = new bytes32[](2 * RECORDS);
        for (uint256 i = 0; i < ids.length; ++i) ids[i] = recordOf(i % 2 == 0 ? A : B, 1 + i / 2);
    }

    function theLedger() external view returns (IEmrLedger) {
        return ledger;
    }

    // --- sending ---------------------------------------------------------------------------------------------------

    function _sendOne(uint32 via, IEmrLedger.Intent memory made) private {
        vm.record();
        Vm.Log[] memory logs = send(via, one(made));
        bool denied = logs[0].topics[0] == IEmrLedger.AccessDenied.selector;
        if (denied) _onlyWrote(made.recordId, custodian[made.recordId] != 0, via, made.requestId);
        check(_fold(via, logs, made.requestId) == 1, "one act, one event");
        _sent.push(made);
        _sentVia.push(via);
    }

    /// Every slot the ledger wrote is its sequence or head, the record's, or the one request slot.
    function _onlyWrote(bytes32 recordId, bool exists, uint32 via, bytes32 requestId) private {
        (, bytes32[] memory writes) = vm.accesses(address(ledger));
        bytes32 first = keccak256(abi.encode(recordId, RECORDS_SLOT));
        uint64 reached = ledger.requestSequence(via, requestId);
        bytes32 request;
        for (uint256 i = 0; i < writes.length; ++i) {
            bytes32 slot = writes[i];
            if (slot == SEQUENCE_SLOT || slot == HEAD_SLOT) continue;
            if (exists && (slot == first || slot == bytes32(uint256(first) + 1))) continue;
            check(request == 0 || request == slot, "a refusal wrote elsewhere");
            check(uint256(vm.load(address(ledger), slot)) >> 192 == reached && reached != 0, "no request slot");
            request = slot;
        }
    }

    // --- the model -------------------------------------------------------------------------------------------------

    /// Takes the events of one transaction into the model. @return answers all but `Head`
    function _fold(uint32 via, Vm.Log[] memory logs, bytes32 requestId) private returns (uint256 answers) {
        for (uint256 i = 0; i < logs.length; ++i) {
            Vm.Log memory log = logs[i];
            ++seen[log.topics[0]];
            if (log.topics[0] == IEmrLedger.Head.selector) {
                check(i == logs.length - 1, "Head comes last");
                check(wordOf(log, 0) == sequence && bytes32(wordOf(log, 1)) == head, "another head than folded");
                continue;
            }
            ++answers;
            if (log.topics.length == 4) _take(via, log, requestId);
        }
        (uint64 now_, bytes32 headNow) = ledger.head();
        check(now_ == sequence && headNow == head, "the view differs from the events");
    }

    /// Each anchor begins where the last of that network ended, goes on, and takes nothing back.
    function _follow(uint32 via, Vm.Log memory log) private {
        uint256[5] storage last = anchored[via][wordOf(log, 5)];
        check(wordOf(log, 8) == last[1] && wordOf(log, 9) == last[2], "an anchor begins elsewhere");
        check(wordOf(log, 6) >= last[0], "an anchor goes back");
        check(wordOf(log, 10) > last[1] || (wordOf(log, 10) == last[1] && wordOf(log, 11) == last[2]), "another history");
        check(wordOf(log, 12) > last[3] || (wordOf(log, 12) == last[3] && wordOf(log, 13) == last[4]), "another access log");
        check(wordOf(log, 10) > last[1] || wordOf(log, 12) > last[3], "an anchor of nothing");
        anchored[via][wordOf(log, 5)] = [wordOf(log, 6), wordOf(log, 10), wordOf(log, 11), wordOf(log, 12), wordOf(log, 13)];
    }

    function _take(uint32 via, Vm.Log memory log, bytes32 requestId) private {
        bytes32 topic = log.topics[0];
        bytes32 recordId = log.topics[2];
        bytes32 leaf = leafOf(log);
        check(uint256(log.topics[1]) == ++sequence, "the sequence is dense");
        head = keccak256(abi.encode(head, sequence, leaf));
        bytes32 request = bytes32(wordOf(log, 0));
        check(requestId == 0 || request == requestId, "another requestId");
        check(wordOf(log, 4) == via, "another hospital");
        if (decidedAt[via][request] != 0) {
            // Only what a vote decides follows in the same act.
            check(topic == IEmrLedger.HospitalStatusChanged.selector, "two effects of one request");
        } else {
            decidedAt[via][request] = sequence;
        }
        if (topic == IEmrLedger.AccessDenied.selector) ++refusals;
        else {
            ++effects;
            if (topic == IEmrLedger.LedgerAnchored.selector) _follow(via, log);
            _transition(via, topic, recordId, log);
        }
        if (custodian[recordId] == 0) {
            check(wordOf(log, 1) == 0 && wordOf(log, 2) == 0, "no record, no head");
            return;
        }
        check(wordOf(log, 1) == ++recordSequence[recordId], "the record's sequence is dense");
        check(bytes32(wordOf(log, 2)) == recordHead[recordId], "the record's head before");
        recordHead[recordId] = keccak256(abi.encode(recordHead[recordId], recordSequence[recordId], leaf));
    }

    /// What may follow what.
    function _transition(uint32 via, bytes32 topic, bytes32 recordId, Vm.Log memory log) private {
        bytes32 id = bytes32(wordOf(log, 5));
        bytes32 frozen = frozenBy[recordId];
        if (topic == IEmrLedger.RecordOpened.selector) {
            check(custodian[recordId] == 0, "a second custodian");
            check(uint32(bytes4(recordId)) == via, "opened elsewhere");
            (custodian[recordId], version[recordId]) = (via, 1);
        } else if (topic == IEmrLedger.RecordAmended.selector) {
            check(frozen == 0, "amended while frozen");
            check(custodian[recordId] == via, "amended by another than the custodian");
            check(wordOf(log, 5) == ++version[recordId], "versions are dense");
        } else if (topic == IEmrLedger.RecordClosed.selector || topic == IEmrLedger.RecordReopened.selector) {
            check(frozen == 0 && custodian[recordId] == via, "closed or reopened while frozen, or elsewhere");
        } else if (topic == IEmrLedger.RecordFrozen.selector) {
            check(frozen == 0 && custodian[recordId] == via, "frozen twice, or elsewhere");
            frozenBy[recordId] = id;
        } else if (topic == IEmrLedger.RecordUnfrozen.selector) {
            check(frozen == id && custodian[recordId] == via, "unfrozen for another transfer, or elsewhere");
            check(transferState[id] == State.NONE || transferState[id] == State.ENDED, "unfrozen while under way");
            frozenBy[recordId] = 0;
        } else if (topic == IEmrLedger.TransferProposed.selector) {
            check(liveTransfer[recordId] == 0 && transferState[id] == State.NONE, "two live transfers, or one twice");
            check(custodian[recordId] == via && wordOf(log, 6) != via, "proposed elsewhere or to itself");
            liveTransfer[recordId] = id;
            (transferState[id], expiresAt[id]) = (State.PROPOSED, wordOf(log, 10));
        } else if (topic == IEmrLedger.TransferAccepted.selector) {
            check(liveTransfer[recordId] == id && custodian[recordId] != via, "accepted by the source");
            _edge(id, State.PROPOSED, State.ACCEPTED);
            check(block.timestamp <= expiresAt[id], "accepted late");
        } else if (topic == IEmrLedger.TransferCompleted.selector) {
            check(block.timestamp <= expiresAt[id] && custodian[recordId] == via, "completed late or elsewhere");
            _edge(id, State.ACCEPTED, State.ENDED);
            delete liveTransfer[recordId];
        } else if (topic == IEmrLedger.TransferRejected.selector || topic == IEmrLedger.TransferCancelled.selector) {
            check((topic == IEmrLedger.TransferCancelled.selector) == (custodian[recordId] == via), "ended by another");
            _edge(id, State.PROPOSED, State.ENDED);
            delete liveTransfer[recordId];
        } else if (topic == IEmrLedger.TransferExpired.selector) {
            check(transferState[id] == State.PROPOSED || transferState[id] == State.ACCEPTED, "expired after its end");
            check(block.timestamp > expiresAt[id], "expired early");
            transferState[id] = State.ENDED;
            delete liveTransfer[recordId];
        }
    }

    function _edge(bytes32 id, State from, State to) private {
        check(transferState[id] == from, "an edge that is not drawn");
        transferState[id] = to;
    }

    // --- random acts -----------------------------------------------------------------------------------------------

    function _any(uint256 seed) private returns (uint32 via, IEmrLedger.Intent memory made) {
        if (_pick(seed, 30, 20) == 0) return _anchor(seed);
        uint8[20] memory operations = [1, 2, 3, 4, 4, 5, 5, 6, 7, 8, 9, 16, 17, 17, 19, 19, 20, 20, 21, 26];
        uint8 operation = _pick(seed, 2, 16) == 0 ? uint8(_pick(seed, 3, 70)) : _pick(seed, 21, 16) == 0
            ? uint8(22 + _pick(seed, 22, 2))
            : operations[_pick(seed, 4, 20)];
        bytes32 recordId = recordOf(_pick(seed, 5, 4) == 0 ? B : A, 1 + _pick(seed, 6, RECORDS));
        bool destination = operation == Operations.ACCEPT || operation == Operations.REJECT;
        via = (uint32(bytes4(recordId)) == B) != destination ? B : A;
        uint256 key = via == B ? CLINICIAN_B : _pick(seed, 7, 2) == 0 ? CLINICIAN_A : RECORDS_A;
        if (via == A && (operation == Operations.OPEN || operation == Operations.AMEND)) key = CLINICIAN_A;
        if (via == A && (operation == Operations.CLOSE || operation == Operations.REOPEN)) key = RECORDS_A;
        if (operation == Operations.GRANT || operation == Operations.REVOKE) key = PATIENT;
        if (_pick(seed, 8, 12) == 0) key = _someKey(_pick(seed, 9, 7));
        if (operation >= 48) (key, recordId) = (via == B ? REGISTRAR_B : REGISTRAR_A, 0);
        made = intent(key, operation, recordId, _parameters(seed, operation, recordId));
    }

    /// An anchor of one of two networks that mostly continues the last one; what doesn't is refused.
    function _anchor(uint256 seed) private returns (uint32 via, IEmrLedger.Intent memory made) {
        via = _pick(seed, 31, 2) == 0 ? A : B;
        uint256 chainId = _pick(seed, 32, 2);
        uint256[9] memory words;
        {
            uint256[5] memory last = anchored[via][chainId];
            uint256 more = _pick(seed, 33, 3);
            words = [chainId, last[0] + _pick(seed, 34, 3), seed, last[1], last[2], last[1] + more, last[2], last[3], last[4]];
            if (more != 0) words[6] = _pick(seed, 35, type(uint256).max);
            if (_pick(seed, 36, 2) == 0) (words[7], words[8]) = (last[3] + 1, seed);
        }
        uint256 spoilt = 1 + _pick(seed, 37, 24);
        if (spoilt < 9) words[spoilt] = _pick(seed, 38, 2) == 0 ? _pick(seed, 39, 3) : seed;
        bytes memory parameters = abi.encode(words);
        made = intent(_pick(seed, 40, 8) == 0 ? CLINICIAN_A : via == A ? REGISTRAR_A : REGISTRAR_B, Operations.ANCHOR_LEDGER, 0, parameters);
    }

    function _parameters(uint256 seed, uint8 operation, bytes32 recordId) private view returns (bytes memory) {
        uint32 now_ = version[recordId];
        bytes32 content = keccak256(abi.encode("content", now_));
        // Rarely another transfer than the one under way; then its state decides.
        bytes32 transfer = liveTransfer[recordId] != 0 && operation != Operations.PROPOSE
            ? liveTransfer[recordId]
            : frozenBy[recordId];
        if (transfer == 0 || _pick(seed, 10, 6) == 0) {
            transfer = keccak256(abi.encode("transfer", recordId, _pick(seed, 11, TRANSFERS)));
        }
        if (operation == Operations.OPEN) return abi.encode(keccak256(abi.encode("content", 1)), vm.addr(PATIENT), 1, 0, 0);
        if (operation == Operations.RELATE) return abi.encode(vm.addr(_someKey(seed % 7)), _pick(seed, 12, 2) * 1000);
        if (operation == Operations.UNRELATE) return abi.encode(vm.addr(_someKey(seed % 7)));
        if (operation == Operations.AMEND) return abi.encode(now_, keccak256(abi.encode("content", now_ + 1)));
        if (operation == Operations.QUERY) return abi.encode(1 + _pick(seed, 13, 4) / 3, 1, 300, 0);
        if (operation == Operations.GRANT) {
            return abi.encode(keccak256(abi.encode(seed)), 0, 1 + _pick(seed, 14, 3), 32, 0, 0, 0, 0);
        }
        if (operation == Operations.FREEZE) return abi.encode(transfer, now_, content);
        if (operation == Operations.PROPOSE) {
            return abi.encode(transfer, recordOf(B, 0) > recordId ? B : A, now_, content, 0, 1 + _pick(seed, 15, 400_000), 0);
        }
        if (operation == Operations.ACCEPT) return abi.encode(transfer, content);
        if (operation == Operations.UNFREEZE) return abi.encode(transfer, _pick(seed, 16, 4), 0);
        if (operation == Operations.COMPLETE || operation == Operations.EXPIRE) return abi.encode(transfer);
        if (operation == Operations.REJECT || operation == Operations.CANCEL) return abi.encode(transfer, 1);
        if (operation == Operations.CLOSE || operation == Operations.REOPEN) return abi.encode(1);
        return abi.encode(_pick(seed, 17, 4), _pick(seed, 18, 2));
    }

    function _pick(uint256 seed, uint256 salt, uint256 options) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, salt))) % options;
    }

    function _someKey(uint256 index) private pure returns (uint256) {
        return [REGISTRAR_A, CLINICIAN_A, RECORDS_A, PRIVACY_A, REGISTRAR_B, CLINICIAN_B, PATIENT][index];
    }

    function _keyOf(address actor) private pure returns (uint256) {
        for (uint256 i = 0; i < 7; ++i) if (vm.addr(_someKey(i)) == actor) return _someKey(i);
        revert("nobody's");
    }
}
