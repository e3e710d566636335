import { keccak256 } from '../../platform/src/keccak.js';
import { type Layout, readWord, type Values } from './words.js';

/** The ledger's custom errors: each only a broken or foreign gateway, or a wrong deployment, can cause. */
const layouts = {
  UnknownRelayer: { caller: 'address' },
  EmptyBatch: {},
  InvalidHospitalEntry: { id: 'uint32' },
  InvalidThreshold: { threshold: 'uint32' },
} as const satisfies Record<string, Layout>;

type Layouts = typeof layouts;
export type LedgerRevert = { [N in keyof Layouts]: { name: N } & Values<Layouts[N]> }[keyof Layouts];

const bySelector = new Map<string, keyof Layouts>(
  (Object.keys(layouts) as (keyof Layouts)[]).map((name) => {
    const signature = `${name}(${Object.values(layouts[name]).join(',')})`;
    return [keccak256(Buffer.from(signature, 'ascii')).toString('hex', 0, 4), name];
  }),
);

/**
 * The ledger's error in a reverted call's data; undefined when it is another (a panic, out of gas, calldata that is no
 * call of `execute`).
 */
export function decodeRevert(data: Buffer): LedgerRevert | undefined {
  const name = bySelector.get(data.toString('hex', 0, 4));
  if (!name) return undefined;
  const fields = Object.entries(layouts[name] as Layout);
  if (data.length !== 4 + 32 * fields.length) return undefined;
  const revert: Record<string, unknown> = { name };
  fields.forEach(([field, type], index) => {
    revert[field] = readWord(data, 4 + 32 * index, type);
  });
  return revert as LedgerRevert;
}
