import { intentSize } from '../../../contracts/src/intent.codec.js';
import { gasBound, transactionGas } from '../../../contracts/src/operations.js';

export interface PackLimits {
  /** Calldata of one transaction, at most. A node refuses transactions beyond 131,072 bytes. */
  maxBytes: number;
  /** Gas limit of one transaction, at most. */
  maxGas: number;
  /** Transactions to make, at most. */
  maxTransactions: number;
  /** Slots of 32 kB in the node's pool these transactions may take, at most. */
  maxSlots: number;
}

export interface Packable {
  code: number;
  parameters: Buffer;
  /** Acts that may share a transaction with this one, itself included; null or absent: any number. */
  batchLimit?: number | null;
}

export interface Packed<T> {
  transactions: T[][];
  /** Fit into no transaction at all. */
  oversized: T[];
}

export const SLOT_BYTES = 32 * 1024;
/** Selector, offset and length of the array. */
const CALLDATA_FRAME = 4 + 64;
/** Everything of a signed legacy transaction but its calldata. */
export const TRANSACTION_FRAME = 160;
const GAS_FRAME = transactionGas([]);

/**
 * Packs acts into as few transactions as the limits allow without changing their order: a transaction is closed when the next act
 * doesn't fit. Acts left over when slots or transactions run out stay waiting.
 */
export function pack<T extends Packable>(acts: readonly T[], limits: PackLimits): Packed<T> {
  const packed: Packed<T> = { transactions: [], oversized: [] };
  let current: T[] = [];
  let bytes = CALLDATA_FRAME;
  let gas = GAS_FRAME;
  let room = Number.POSITIVE_INFINITY;
  let slots = 0;
  // False when the pool has no room for the transaction that is being filled: its acts stay waiting.
  const close = (): boolean => {
    if (current.length === 0) return true;
    const taken = slotsOf(bytes);
    if (slots + taken > limits.maxSlots) return false;
    slots += taken;
    packed.transactions.push(current);
    current = [];
    bytes = CALLDATA_FRAME;
    gas = GAS_FRAME;
    room = Number.POSITIVE_INFINITY;
    return true;
  };
  for (const act of acts) {
    const size = intentSize(act);
    const bound = gasBound({ operation: act.code, parameters: act.parameters });
    if (CALLDATA_FRAME + size > limits.maxBytes || GAS_FRAME + bound > limits.maxGas) {
      packed.oversized.push(act);
      continue;
    }
    const limit = Math.min(room, act.batchLimit ?? Number.POSITIVE_INFINITY);
    const fits = bytes + size <= limits.maxBytes && gas + bound <= limits.maxGas && current.length + 1 <= limit;
    if (!fits && !close()) return packed;
    if (packed.transactions.length === limits.maxTransactions) return packed;
    current.push(act);
    bytes += size;
    gas += bound;
    room = Math.min(room, act.batchLimit ?? Number.POSITIVE_INFINITY);
  }
  close();
  return packed;
}

/** Whether an act fits into a transaction of its own. */
export function fitsAlone(
  act: { code: number; parameters: Buffer },
  limits: Pick<PackLimits, 'maxBytes' | 'maxGas'>,
): boolean {
  return (
    CALLDATA_FRAME + intentSize(act) <= limits.maxBytes &&
    GAS_FRAME + gasBound({ operation: act.code, parameters: act.parameters }) <= limits.maxGas
  );
}

/** Slots a transaction with `calldata` bytes takes in the node's pool. */
export function slotsOf(calldata: number): number {
  return Math.ceil((calldata + TRANSACTION_FRAME) / SLOT_BYTES);
}
