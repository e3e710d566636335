import { keccak256 } from '../../platform/src/keccak.js';
import { type Bytes, encodeRlp, integer } from './rlp.js';

/** The fields a block hash commits to, in the order of the header's RLP. Fields of later forks are absent where the chain hasn't them. */
export interface Header {
  parentHash: Bytes;
  ommersHash: Bytes;
  beneficiary: Bytes;
  stateRoot: Bytes;
  transactionsRoot: Bytes;
  receiptsRoot: Bytes;
  logsBloom: Bytes;
  difficulty: bigint;
  number: bigint;
  gasLimit: bigint;
  gasUsed: bigint;
  timestamp: bigint;
  extraData: Bytes;
  mixHash: Bytes;
  nonce: Bytes;
  baseFeePerGas?: bigint;
  withdrawalsRoot?: Bytes;
  blobGasUsed?: bigint;
  excessBlobGas?: bigint;
  parentBeaconBlockRoot?: Bytes;
  requestsHash?: Bytes;
}

/** RLP of the header: what is hashed, stored and handed out in proofs. */
export function encodeHeader(header: Header): Buffer {
  const fields: Uint8Array[] = [
    header.parentHash,
    header.ommersHash,
    header.beneficiary,
    header.stateRoot,
    header.transactionsRoot,
    header.receiptsRoot,
    header.logsBloom,
    integer(header.difficulty),
    integer(header.number),
    integer(header.gasLimit),
    integer(header.gasUsed),
    integer(header.timestamp),
    header.extraData,
    header.mixHash,
    header.nonce,
  ];
  // Each fork appended its fields to those of the one before. Anvil's genesis has later ones without earlier ones, so absence ends nothing.
  const appended = [
    header.baseFeePerGas,
    header.withdrawalsRoot,
    header.blobGasUsed,
    header.excessBlobGas,
    header.parentBeaconBlockRoot,
    header.requestsHash,
  ];
  for (const field of appended) {
    if (field === undefined) continue;
    fields.push(typeof field === 'bigint' ? integer(field) : field);
  }
  return encodeRlp(fields);
}

/** keccak256 of the header's RLP. */
export function headerHash(header: Header): Buffer {
  return keccak256(encodeHeader(header));
}
