// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IEmrLedger} from "../solidity/interfaces/IEmrLedger.sol";
import {LedgerHandler} from "./LedgerHandler.sol";
import {Deployer} from "./LedgerTest.sol";

/// @notice What holds after any history. The handler itself checks each event as it comes: dense sequence, folded heads, one
/// custodian, one effect a request, drawn edges of a transfer, anchors in one line, and that a refusal or a forged act writes nothing else.
contract EmrLedgerInvariants is Deployer {
    LedgerHandler private handler;

    function setUp() public {
        handler = LedgerHandler(create("LedgerHandler.sol:LedgerHandler", ""));
    }

    /// Asked by forge: whom to call.
    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// One invariant, not three: each would run a campaign of its own.
    function invariant_headsAreTheFoldOfEventsAndCustodyStays() public view {
        IEmrLedger ledger = handler.theLedger();
        (uint64 sequence, bytes32 head) = ledger.head();
        require(sequence == handler.sequence() && head == handler.head(), "head differs");
        bytes32[] memory ids = handler.records();
        for (uint256 i = 0; i < ids.length; ++i) {
            (sequence, head) = ledger.recordHead(ids[i]);
            require(sequence == handler.recordSequence(ids[i]), "record sequence differs");
            require(head == handler.recordHead(ids[i]), "record head differs");
            uint32 custodian = handler.custodian(ids[i]);
            require(custodian == 0 || custodian == uint32(bytes4(ids[i])), "custody moved");
        }
    }

    /// The campaign is worth something only while its random acts meet: every kind of event comes up.
    function test_theCampaignReachesEveryStep() public {
        for (uint256 i = 0; i < 1000; ++i) {
            uint256 seed = uint256(keccak256(abi.encode("campaign", i)));
            handler.act(seed);
            if (i % 8 == 0) handler.time(uint16(seed));
        }
        require(handler.effects() > 80 && handler.refusals() > 80, "too few of one kind");
        bytes32[17] memory topics = [
            IEmrLedger.RecordOpened.selector,
            IEmrLedger.RecordAmended.selector,
            IEmrLedger.RecordQueried.selector,
            IEmrLedger.RecordClosed.selector,
            IEmrLedger.RecordReopened.selector,
            IEmrLedger.RelationStarted.selector,
            IEmrLedger.RelationEnded.selector,
            IEmrLedger.AccessGranted.selector,
            IEmrLedger.RecordFrozen.selector,
            IEmrLedger.RecordUnfrozen.selector,
            IEmrLedger.TransferProposed.selector,
            IEmrLedger.TransferAccepted.selector,
            IEmrLedger.TransferCompleted.selector,
            IEmrLedger.TransferRejected.selector,
            IEmrLedger.TransferCancelled.selector,
            IEmrLedger.TransferExpired.selector,
            IEmrLedger.LedgerAnchored.selector
        ];
        for (uint256 i = 0; i < topics.length; ++i) require(handler.seen(topics[i]) > 0, "an event never came up");
    }
}
