import { keccak256 } from '../../../../libs/platform/src/keccak.js';
import type { SagaAct } from './saga/saga.types.js';

const COPY = Buffer.from('copy');
const ACT = Buffer.from('emr-gateway/transfer-act/1');

/** How often a step is tried anew after its act was withdrawn or its deadline passed. Each try has a request id of its own. */
export const MOST_TRIES = 5;

/**
 * Request id of a saga's act: it follows from the transfer, so that a gateway that forgot everything names the same act again and the ledger
 * tells it that it was done. `version` tells the acts apart that publish several versions.
 */
export function actRequestId(transferId: Buffer, act: SagaAct, attempt = 0, version = 0): Buffer {
  const numbers = Buffer.alloc(8);
  numbers.writeUInt32BE(attempt);
  numbers.writeUInt32BE(version, 4);
  return keccak256(ACT, transferId, numbers, Buffer.from(act));
}

/** Id of the record that `hospital` opens as its copy: its number (4 bytes) ‖ 28 bytes of keccak("copy" ‖ transfer id). */
export function copyRecordId(hospital: number, transferId: Buffer): Buffer {
  const recordId = Buffer.alloc(32);
  recordId.writeUInt32BE(hospital);
  keccak256(COPY, transferId).copy(recordId, 4, 0, 28);
  return recordId;
}
