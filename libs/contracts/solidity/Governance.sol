// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Reasons} from "./Codes.sol";
import {Hospitals} from "./Hospitals.sol";

/// @title What the hospitals decide together
/// @notice Each hospital's registrar votes on keccak256(operation as a word ‖ parameters). With the votes of `threshold`
/// distinct hospitals that are active at that moment, the change is made in the act of the last vote. When fewer hospitals
/// are active than the threshold asks for, all of them suffice: a suspension can't lock the ledger.
abstract contract Governance is Hospitals {
    uint32 internal _threshold;
    /// Bit n: the hospital with index n voted. Cleared when the change is made.
    mapping(bytes32 change => uint256) private _ballots;

    /// Operation VOTE_ADMIT: id, registrar, relayer, identityKey, transferKey, transferKeyId, endpointHash
    function _voteAdmit(Act memory act) internal returns (uint8) {
        if (_over(act, 0, 32) || _over(act, 1, 160) || _over(act, 2, 160) || _over(act, 5, 32)) return Reasons.MALFORMED;
        uint32 id = uint32(_word(act, 0));
        if (_hospitals[act.hospital].registrar != act.actor) return Reasons.NOT_REGISTRAR;
        if (_hospitals[id].registrar != address(0)) return Reasons.HOSPITAL_EXISTS;
        if (!_fits(id, _address(act, 1), _address(act, 2))) return Reasons.MALFORMED;
        if (_hospitalCount == MOST_HOSPITALS) return Reasons.NOT_SUPPORTED;
        (uint8 reason, bool made) = _vote(act, 7);
        if (!made) return reason;
        _register(
            act, id, _address(act, 1), bytes32(_word(act, 3)), bytes32(_word(act, 4)), uint32(_word(act, 5)), bytes32(_word(act, 6))
        );
        return _addRelayer(act, id, _address(act, 2));
    }

    /// Operation VOTE_STATUS: id, active
    function _voteStatus(Act memory act) internal returns (uint8) {
        if (_over(act, 0, 32) || _over(act, 1, 1)) return Reasons.MALFORMED;
        bool active = _word(act, 1) == 1;
        if (_hospitals[act.hospital].registrar != act.actor) return Reasons.NOT_REGISTRAR;
        Hospital storage hospital = _hospitals[uint32(_word(act, 0))];
        if (hospital.registrar == address(0)) return Reasons.HOSPITAL_UNKNOWN;
        if (hospital.active == active) return Reasons.ALREADY_SO;
        uint256 bit = 1 << hospital.index;
        if (_activeHospitals == bit) return Reasons.NOT_SUPPORTED;
        (uint8 reason, bool made) = _vote(act, 2);
        if (!made) return reason;
        hospital.active = active;
        _activeHospitals ^= bit;
        return _emit(act, HospitalStatusChanged.selector, _own(act, _word(act, 0), _word(act, 1)));
    }

    /// Operation VOTE_THRESHOLD: threshold
    function _voteThreshold(Act memory act) internal returns (uint8) {
        uint256 threshold = _word(act, 0);
        if (threshold == 0 || threshold > MOST_HOSPITALS) return Reasons.MALFORMED;
        if (_hospitals[act.hospital].registrar != act.actor) return Reasons.NOT_REGISTRAR;
        if (threshold > _count(_activeHospitals)) return Reasons.NOT_SUPPORTED;
        if (threshold == _threshold) return Reasons.ALREADY_SO;
        (uint8 reason, bool made) = _vote(act, 1);
        if (made) _threshold = uint32(threshold);
        return reason;
    }

    /// @return reason 0 when the vote is cast
    /// @return made whether it was the one that decides
    function _vote(Act memory act, uint256 words) private returns (uint8 reason, bool made) {
        bytes32 change = _change(act, words);
        uint256 bit = 1 << _hospitals[act.hospital].index;
        uint256 ballot = _ballots[change];
        if (ballot & bit != 0) return (Reasons.ALREADY_SO, false);
        ballot |= bit;
        uint256 active = _activeHospitals;
        uint256 votes = _count(ballot & active);
        uint256 needed = _count(active);
        if (_threshold < needed) needed = _threshold;
        made = votes >= needed;
        _ballots[change] = made ? 0 : ballot;
        reason = _emit(act, VoteCast.selector, _own(act, uint256(change), votes, needed));
    }

    /// keccak256(operation as a word ‖ parameters)
    function _change(Act memory act, uint256 words) private pure returns (bytes32 change) {
        uint256 operation = act.operation;
        uint256 position = act.parameters;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, operation)
            calldatacopy(add(free, 32), position, mul(words, 32))
            change := keccak256(free, mul(add(words, 1), 32))
        }
    }

    function _count(uint256 bits) private pure returns (uint256 count) {
        for (; bits != 0; bits &= bits - 1) ++count;
    }
}
