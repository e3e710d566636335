// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Reasons} from "./Codes.sol";
import {LedgerCore} from "./LedgerCore.sol";

/// @title Hospitals, their relayers and their registrar's own changes
/// @notice Identity key, transfer key and endpoint live in events alone: whoever reads them has the events.
abstract contract Hospitals is LedgerCore {
    /// @dev One slot. `index` is the hospital's bit in ballots and in `_activeHospitals`.
    struct Hospital {
        address registrar; // 0: there is no such hospital
        uint32 transferKeyId;
        uint32 relayers; // active ones
        uint8 index;
        bool active;
    }

    /// One bit a hospital bounds their number.
    uint256 internal constant MOST_HOSPITALS = 256;

    mapping(uint32 hospital => Hospital) internal _hospitals;
    mapping(address relayer => uint32 hospital) internal _relayers;
    /// Bit n: the hospital with index n is active.
    uint256 internal _activeHospitals;
    uint256 internal _hospitalCount;

    function _isActiveHospital(uint256 id) internal view returns (bool) {
        return _hospitals[uint32(id)].active;
    }

    /// Operation UPDATE_HOSPITAL: registrar, identityKey, transferKey, transferKeyId, endpointHash
    function _updateHospital(Act memory act) internal returns (uint8) {
        if (_over(act, 0, 160) || _over(act, 3, 32)) return Reasons.MALFORMED;
        address registrar = _address(act, 0);
        uint32 keyId = uint32(_word(act, 3));
        Hospital storage hospital = _hospitals[act.hospital];
        if (hospital.registrar != act.actor) return Reasons.NOT_REGISTRAR;
        if (registrar == address(0) || _relayers[registrar] != 0) return Reasons.MALFORMED;
        if (keyId < hospital.transferKeyId) return Reasons.VERSION_STALE;
        hospital.registrar = registrar;
        hospital.transferKeyId = keyId;
        _own(act, act.hospital, uint160(registrar), _word(act, 1), _word(act, 2));
        return _emit(act, HospitalUpdated.selector, _more(act, keyId, _word(act, 4)));
    }

    /// Operation SET_RELAYER: relayer, active
    function _setRelayer(Act memory act) internal returns (uint8) {
        if (_over(act, 0, 160) || _over(act, 1, 1)) return Reasons.MALFORMED;
        address relayer = _address(act, 0);
        bool active = _word(act, 1) == 1;
        Hospital storage hospital = _hospitals[act.hospital];
        if (hospital.registrar != act.actor) return Reasons.NOT_REGISTRAR;
        if (relayer == address(0) || relayer == act.actor) return Reasons.MALFORMED;
        uint32 holder = _relayers[relayer];
        if (holder != 0 && holder != act.hospital) return Reasons.ACTOR_EXISTS;
        if (active == (holder != 0)) return Reasons.ALREADY_SO;
        // Without a relayer the hospital could never speak again.
        if (!active && hospital.relayers == 1) return Reasons.NOT_SUPPORTED;
        if (active) {
            _relayers[relayer] = act.hospital;
            ++hospital.relayers;
        } else {
            delete _relayers[relayer];
            --hospital.relayers;
        }
        return _emit(act, RelayerChanged.selector, _own(act, act.hospital, uint160(relayer), active ? 1 : 0));
    }

    /// Whether a hospital can be registered so.
    function _fits(uint32 id, address registrar, address relayer) internal view returns (bool) {
        return id != 0 && registrar != address(0) && relayer != address(0) && relayer != registrar
            && _relayers[relayer] == 0 && _relayers[registrar] == 0;
    }

    function _register(
        Act memory act,
        uint32 id,
        address registrar,
        bytes32 identityKey,
        bytes32 transferKey,
        uint32 keyId,
        bytes32 endpointHash
    ) internal {
        uint256 index = _hospitalCount++;
        _hospitals[id] = Hospital(registrar, keyId, 0, uint8(index), true);
        _activeHospitals |= 1 << index;
        _own(act, id, uint160(registrar), uint256(identityKey), uint256(transferKey));
        _emit(act, HospitalRegistered.selector, _more(act, keyId, uint256(endpointHash)));
    }

    function _addRelayer(Act memory act, uint32 id, address relayer) internal returns (uint8) {
        _relayers[relayer] = id;
        ++_hospitals[id].relayers;
        return _emit(act, RelayerChanged.selector, _own(act, id, uint160(relayer), 1));
    }
}
