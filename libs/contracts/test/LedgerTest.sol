// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Operations, Roles} from "../solidity/Codes.sol";
import {IEmrLedger} from "../solidity/interfaces/IEmrLedger.sol";

/// What the tests use of forge's cheat codes.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function prank(address sender) external;
    function warp(uint256 time) external;
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);
    function record() external;
    function accesses(address target) external returns (bytes32[] memory reads, bytes32[] memory writes);
    function load(address target, bytes32 slot) external view returns (bytes32);
    function expectRevert(bytes calldata data) external;
    function getCode(string calldata artifact) external view returns (bytes memory creationCode);
}

/// @notice Deploys from compiled artifacts: with `new`, the compiler would optimise the ledger once more for every contract
/// that deploys it.
abstract contract Deployer {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @dev Reverts with what the constructor reverted with.
    function create(string memory artifact, bytes memory arguments) internal returns (address made) {
        bytes memory code = bytes.concat(vm.getCode(artifact), arguments);
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
            if iszero(made) {
                returndatacopy(0, 0, returndatasize())
                revert(0, returndatasize())
            }
        }
    }
}

/// @notice A deployed ledger with two hospitals and their actors, and what every test needs to act on it.
abstract contract LedgerTest is Deployer {
    uint32 internal constant A = 1;
    uint32 internal constant B = 2;
    bytes32 private constant INTENT_TYPE = keccak256(
        "Intent(uint8 operation,bytes32 requestId,bytes32 recordId,bytes parameters,address actor,uint64 deadline,bytes32 authContext)"
    );

    /// Keys; `address(key)` by vm.addr.
    uint256 internal constant REGISTRAR_A = 0xa1;
    uint256 internal constant CLINICIAN_A = 0xa2;
    uint256 internal constant RECORDS_A = 0xa3;
    uint256 internal constant PRIVACY_A = 0xa4;
    uint256 internal constant REGISTRAR_B = 0xb1;
    uint256 internal constant CLINICIAN_B = 0xb2;
    uint256 internal constant PATIENT = 0xc1;

    IEmrLedger internal ledger;
    uint256 private _requests;

    constructor() {
        vm.warp(1_800_000_000);
        IEmrLedger.HospitalEntry[] memory founding = new IEmrLedger.HospitalEntry[](2);
        founding[0] = _entry(A, REGISTRAR_A);
        founding[1] = _entry(B, REGISTRAR_B);
        ledger = deploy(founding, 2);
        _register(A, REGISTRAR_A, CLINICIAN_A, Roles.CLINICIAN);
        _register(A, REGISTRAR_A, RECORDS_A, Roles.RECORDS_OFFICER);
        _register(A, REGISTRAR_A, PRIVACY_A, Roles.PRIVACY_OFFICER);
        _register(B, REGISTRAR_B, CLINICIAN_B, Roles.CLINICIAN | Roles.RECORDS_OFFICER);
    }

    function deploy(IEmrLedger.HospitalEntry[] memory founding, uint32 threshold) internal returns (IEmrLedger) {
        return IEmrLedger(create("EmrLedger.sol:EmrLedger", abi.encode(founding, threshold)));
    }

    function relayerOf(uint32 hospital) internal pure returns (address) {
        return address(uint160(0xff00 + hospital));
    }

    function recordOf(uint32 hospital, uint256 number) internal pure returns (bytes32) {
        return bytes32((uint256(hospital) << 224) | number);
    }

    /// A signed intent under a fresh requestId.
    function intent(uint256 key, uint8 operation, bytes32 recordId, bytes memory parameters)
        internal
        returns (IEmrLedger.Intent memory made)
    {
        made = IEmrLedger.Intent({
            operation: operation,
            requestId: keccak256(abi.encode("request", ++_requests)),
            recordId: recordId,
            parameters: parameters,
            actor: vm.addr(key),
            deadline: uint64(block.timestamp + 7 days),
            authContext: keccak256("token"),
            signature: ""
        });
        sign(made, key);
    }

    function sign(IEmrLedger.Intent memory made, uint256 key) internal view {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digestOf(made));
        made.signature = abi.encodePacked(r, s, v);
    }

    function digestOf(IEmrLedger.Intent memory made) internal view returns (bytes32) {
        bytes32 hash = keccak256(
            abi.encode(
                INTENT_TYPE, made.operation, made.requestId, made.recordId, keccak256(made.parameters), made.actor,
                made.deadline, made.authContext
            )
        );
        return keccak256(abi.encodePacked(hex"1901", ledger.domainSeparator(), hash));
    }

    /// Sends as one batch, through the hospital's relayer. @return logs everything the ledger emitted
    function send(uint32 via, IEmrLedger.Intent[] memory batch) internal returns (Vm.Log[] memory logs) {
        vm.recordLogs();
        vm.prank(relayerOf(via));
        ledger.execute(batch);
        return vm.getRecordedLogs();
    }

    function one(IEmrLedger.Intent memory made) internal pure returns (IEmrLedger.Intent[] memory batch) {
        batch = new IEmrLedger.Intent[](1);
        batch[0] = made;
    }

    /// Acts alone. @return the act's event
    function act(uint32 via, uint256 key, uint8 operation, bytes32 recordId, bytes memory parameters)
        internal
        returns (Vm.Log memory)
    {
        Vm.Log[] memory logs = send(via, one(intent(key, operation, recordId, parameters)));
        check(logs.length == 2, "one act, one event, one head");
        return logs[0];
    }

    function open(bytes32 recordId, uint8 level) internal returns (Vm.Log memory) {
        bytes memory parameters = abi.encode(bytes32("content"), vm.addr(PATIENT), level, bytes32(0), bytes32(0));
        return act(A, CLINICIAN_A, Operations.OPEN, recordId, parameters);
    }

    function expectEvent(Vm.Log memory log, bytes32 topic) internal pure {
        check(log.topics[0] == topic, "another event than expected");
    }

    function expectDenied(Vm.Log memory log, uint8 reason) internal pure {
        expectEvent(log, IEmrLedger.AccessDenied.selector);
        check(wordOf(log, 6) == reason, "another reason than expected");
    }

    function wordOf(Vm.Log memory log, uint256 index) internal pure returns (uint256 word) {
        bytes memory data = log.data;
        assembly ("memory-safe") {
            word := mload(add(data, mul(add(index, 1), 32)))
        }
    }

    function leafOf(Vm.Log memory log) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(log.topics, log.data));
    }

    function check(bool holds, string memory what) internal pure {
        require(holds, what);
    }

    function _register(uint32 via, uint256 registrar, uint256 key, uint16 roles) private {
        Vm.Log memory log =
            act(via, registrar, Operations.REGISTER_ACTOR, 0, abi.encode(vm.addr(key), roles, uint8(0)));
        expectEvent(log, IEmrLedger.ActorRegistered.selector);
    }

    function _entry(uint32 id, uint256 registrar) private pure returns (IEmrLedger.HospitalEntry memory) {
        address[] memory relayers = new address[](1);
        relayers[0] = relayerOf(id);
        return IEmrLedger.HospitalEntry(
            id, vm.addr(registrar), relayers, bytes32("identity"), bytes32("transfer key"), 1, bytes32("endpoint")
        );
    }
}
