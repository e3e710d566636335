// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Operations, Reasons} from "../solidity/Codes.sol";
import {IEmrLedger} from "../solidity/interfaces/IEmrLedger.sol";
import {LedgerTest, Vm} from "./LedgerTest.sol";

/// @notice Single acts, and what a random caller can and can't bring about.
contract EmrLedgerTest is LedgerTest {
    bytes32 private immutable RECORD = recordOf(A, 1);
    bytes private constant QUERY = abi.encode(uint256(1), uint256(1), uint256(300), bytes32(0));

    function setUp() public {
        expectEvent(open(RECORD, 1), IEmrLedger.RecordOpened.selector);
    }

    function test_foundingHospitalsAreOnTheLedgerInOrder() public {
        IEmrLedger.HospitalEntry[] memory founding = new IEmrLedger.HospitalEntry[](1);
        address[] memory relayers = new address[](2);
        (relayers[0], relayers[1]) = (address(11), address(12));
        founding[0] = IEmrLedger.HospitalEntry(7, address(10), relayers, "i", "t", 3, "e");
        vm.recordLogs();
        IEmrLedger fresh = deploy(founding, 1);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        check(logs.length == 4, "registration, two relayers, head");
        expectEvent(logs[0], IEmrLedger.HospitalRegistered.selector);
        bytes32 folded;
        for (uint256 i = 0; i < 3; ++i) {
            check(logs[i].topics[1] == bytes32(i + 1), "dense from 1");
            check(logs[i].topics[2] == 0 && logs[i].topics[3] == 0, "no record, no actor");
            for (uint256 word = 0; word < 5; ++word) check(wordOf(logs[i], word) == 0, "an empty frame");
            folded = keccak256(abi.encode(folded, i + 1, leafOf(logs[i])));
        }
        check(wordOf(logs[1], 5) == 7 && wordOf(logs[1], 6) == 11 && wordOf(logs[1], 7) == 1, "relayer 11 of 7");
        (uint64 sequence, bytes32 head) = fresh.head();
        check(sequence == 3 && head == folded, "head of the three");
        check(keccak256(logs[3].data) == keccak256(abi.encode(sequence, head)), "Head says so");
    }

    function test_deploymentRefusesAThresholdNobodyCanReach() public {
        IEmrLedger.HospitalEntry[] memory none = new IEmrLedger.HospitalEntry[](0);
        try this.deployFrom(none, 1) {
            revert("deployed");
        } catch (bytes memory reason) {
            check(keccak256(reason) == keccak256(abi.encodeWithSelector(IEmrLedger.InvalidThreshold.selector, 1)), "why");
        }
    }

    function deployFrom(IEmrLedger.HospitalEntry[] memory founding, uint32 threshold) external {
        deploy(founding, threshold);
    }

    function test_openerMayLook() public {
        expectEvent(act(A, CLINICIAN_A, Operations.QUERY, RECORD, QUERY), IEmrLedger.RecordQueried.selector);
        expectDenied(act(A, RECORDS_A, Operations.QUERY, RECORD, QUERY), Reasons.NO_RELATION);
        expectDenied(act(B, CLINICIAN_B, Operations.QUERY, RECORD, QUERY), Reasons.NO_RELATION);
    }

    function test_revertsForAnUnknownRelayer(address sender) public {
        if (sender == relayerOf(A) || sender == relayerOf(B)) return;
        IEmrLedger.Intent[] memory batch = one(intent(CLINICIAN_A, Operations.QUERY, RECORD, QUERY));
        vm.expectRevert(abi.encodeWithSelector(IEmrLedger.UnknownRelayer.selector, sender));
        vm.prank(sender);
        ledger.execute(batch);
    }

    function test_revertsForAnEmptyBatch() public {
        vm.expectRevert(abi.encodeWithSelector(IEmrLedger.EmptyBatch.selector));
        vm.prank(relayerOf(A));
        ledger.execute(new IEmrLedger.Intent[](0));
    }

    /// Whatever an authenticated actor asks for ends in exactly one sequenced event, and never in a revert.
    function testFuzz_everySignedActIsAnswered(
        uint256 key,
        uint8 operation,
        bytes32 recordId,
        bytes memory parameters,
        uint64 deadline,
        bool known,
        bool viaB
    ) public {
        key = known ? CLINICIAN_A : 1 + key % 1e18;
        IEmrLedger.Intent memory made = intent(key, operation, known ? RECORD : recordId, parameters);
        made.deadline = deadline;
        sign(made, key);
        (uint64 before,) = ledger.head();
        Vm.Log[] memory logs = send(viaB ? B : A, one(made));
        (uint64 sequence,) = ledger.head();
        check(logs.length == 2 && sequence == before + 1, "one event");
        check(ledger.requestSequence(viaB ? B : A, made.requestId) == sequence, "its requestId is consumed");
    }

    /// The same with as many words as the operation takes, each small or huge.
    function testFuzz_everyWellSizedActIsAnswered(uint8 operation, uint256[9] memory words, uint8 mask) public {
        uint256 count = _words(operation);
        bytes memory parameters = new bytes(32 * count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 word = mask & (1 << i) == 0 ? words[i] % 4 : words[i];
            assembly ("memory-safe") {
                mstore(add(parameters, mul(add(i, 1), 32)), word)
            }
        }
        uint256 key = operation >= 48 ? REGISTRAR_A : words[0] % 2 == 0 ? CLINICIAN_A : RECORDS_A;
        Vm.Log[] memory logs =
            send(A, one(intent(key, operation, operation >= 48 ? bytes32(0) : RECORD, parameters)));
        // A decisive vote would add the events of what it decides; one hospital alone decides nothing here.
        check(logs.length == 2, "one event");
    }

    function testFuzz_aForgedActConsumesNothing(uint256 forger, uint256 place, uint8 bit, bytes memory signature) public {
        IEmrLedger.Intent memory made = intent(CLINICIAN_A, Operations.QUERY, RECORD, QUERY);
        bytes memory good = bytes.concat(made.signature);
        if (place % 3 == 0) {
            forger = 1 + forger % 1e18;
            if (forger == CLINICIAN_A) return;
            sign(made, forger);
        } else if (place % 3 == 1) {
            made.signature[place % 65] ^= bytes1(uint8(1 << (bit % 8)));
        } else {
            if (keccak256(signature) == keccak256(good)) return;
            made.signature = signature;
        }
        (uint64 before, bytes32 headBefore) = ledger.head();
        Vm.Log[] memory logs = send(A, one(made));
        expectEvent(logs[0], IEmrLedger.BadSignature.selector);
        (uint64 sequence, bytes32 head) = ledger.head();
        check(sequence == before && head == headBefore, "nothing moved");
        check(ledger.requestSequence(A, made.requestId) == 0, "nothing consumed");
        made.signature = good;
        expectEvent(send(A, one(made))[0], IEmrLedger.RecordQueried.selector);
    }

    /// Whatever is anchored, the next one has to begin there.
    function testFuzz_anAnchorContinuesTheLast(uint64[4] memory steps, bytes32[3] memory heads, uint8 spoilt) public {
        (uint256 sequence, uint256 access) = (1 + steps[0] / 4, steps[1] / 4);
        bytes memory first =
            abi.encode(7, steps[2] / 4, bytes32("block"), 0, bytes32(0), sequence, heads[0], access, access == 0 ? bytes32(0) : heads[1]);
        expectEvent(act(A, REGISTRAR_A, Operations.ANCHOR_LEDGER, 0, first), IEmrLedger.LedgerAnchored.selector);
        // Another hospital's network of the same chain id begins at nothing.
        expectEvent(act(B, REGISTRAR_B, Operations.ANCHOR_LEDGER, 0, first), IEmrLedger.LedgerAnchored.selector);
        uint256[9] memory next = [
            7, steps[2] / 4, uint256(1), sequence, uint256(heads[0]), sequence + 1 + steps[3] / 4, uint256(heads[2]), access,
            access == 0 ? 0 : uint256(heads[1])
        ];
        uint8 word = [1, 3, 4, 5, 7, 8][spoilt % 6];
        uint256 good = next[word];
        if (word == 1 || word == 5 || word == 7) {
            if (good == 0) return;
            next[word] = word == 5 ? sequence - 1 : good - 1;
        } else {
            next[word] = word == 3 ? good + 1 : uint256(keccak256(abi.encode(good)));
        }
        Vm.Log memory log = act(A, REGISTRAR_A, Operations.ANCHOR_LEDGER, 0, abi.encode(next));
        expectDenied(log, Reasons.ANCHOR_BROKEN);
        next[word] = good;
        expectEvent(act(A, REGISTRAR_A, Operations.ANCHOR_LEDGER, 0, abi.encode(next)), IEmrLedger.LedgerAnchored.selector);
        expectDenied(act(A, REGISTRAR_A, Operations.ANCHOR_LEDGER, 0, abi.encode(next)), Reasons.ANCHOR_BROKEN);
    }

    function testFuzz_aRepeatHasNoEffect(uint8 repeats, bytes32 authContext, uint64 later) public {
        IEmrLedger.Intent memory made = intent(CLINICIAN_A, Operations.QUERY, RECORD, QUERY);
        send(A, one(made));
        (uint64 sequence, bytes32 head) = ledger.head();
        IEmrLedger.Intent[] memory batch = new IEmrLedger.Intent[](1 + repeats % 8);
        for (uint256 i = 0; i < batch.length; ++i) {
            batch[i] = intent(CLINICIAN_A, Operations.QUERY, RECORD, QUERY);
            batch[i].requestId = made.requestId;
            batch[i].authContext = authContext;
            batch[i].deadline = later;
            sign(batch[i], CLINICIAN_A);
        }
        Vm.Log[] memory logs = send(A, batch);
        for (uint256 i = 0; i < batch.length; ++i) {
            expectEvent(logs[i], IEmrLedger.Duplicate.selector);
            check(wordOf(logs[i], 0) == i && wordOf(logs[i], 1) == sequence, "where the first was decided");
        }
        (uint64 sequenceAfter, bytes32 headAfter) = ledger.head();
        check(sequenceAfter == sequence && headAfter == head, "nothing moved");
    }

    function _words(uint8 operation) private pure returns (uint256) {
        bytes memory counts = hex"00050201020401010802000000000000030700020102020100000300";
        if (operation < counts.length) return uint8(counts[operation]);
        if (operation == 48 || operation == 50) return 3;
        if (operation == 49 || operation == 57 || operation == 59) return 2;
        if (operation == 56) return 5;
        if (operation == 58) return 7;
        if (operation == 61) return 9;
        return operation == 60 ? 1 : 0;
    }
}
