import { AbiCoder } from 'ethers';
import { toHex } from '../../platform/src/bytes.js';
import { bytecode } from './generated/emr-ledger.js';

/** A founding hospital (solidity/interfaces/IEmrLedger.sol): addresses 20 bytes, keys and hash 32 bytes. */
export interface HospitalEntry {
  id: number;
  registrar: Buffer;
  relayers: Buffer[];
  identityKey: Buffer;
  transferKey: Buffer;
  transferKeyId: number;
  endpointHash: Buffer;
}

/** Input of the transaction that deploys the ledger; governed changes then need `threshold` votes. */
export function deploymentData(founding: readonly HospitalEntry[], threshold: number): Buffer {
  const entries = founding.map((it) => [
    it.id,
    toHex(it.registrar),
    it.relayers.map(toHex),
    toHex(it.identityKey),
    toHex(it.transferKey),
    it.transferKeyId,
    toHex(it.endpointHash),
  ]);
  const encoded = AbiCoder.defaultAbiCoder().encode(
    ['tuple(uint32,address,address[],bytes32,bytes32,uint32,bytes32)[]', 'uint32'],
    [entries, threshold],
  );
  return Buffer.from(bytecode.slice(2) + encoded.slice(2), 'hex');
}
