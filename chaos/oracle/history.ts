import type { Act } from '../client/load.js';
import type { Facts } from './facts.js';

/** What a verdict rests on. */
export interface History {
  facts: Facts;
  acts: Act[];
}

/** As text; bytes and large integers come back as they were. */
export function historyOf(facts: Facts | undefined, acts: Act[]): string {
  // JSON.stringify calls Buffer.toJSON before the replacer, hence the look at `this`.
  function replacer(this: Record<string, unknown>, key: string, value: unknown): unknown {
    const original = this[key];
    if (Buffer.isBuffer(original)) return { $bytes: original.toString('base64') };
    if (typeof original === 'bigint') return { $int: String(original) };
    return value;
  }
  // What was uploaded is no part of a verdict.
  return JSON.stringify({ facts, acts: acts.map(({ bytes: _, ...act }) => act) }, replacer);
}

export function readHistory(text: string): History {
  return JSON.parse(text, (_key, value) => {
    if (typeof value?.$bytes === 'string') return Buffer.from(value.$bytes, 'base64');
    if (typeof value?.$int === 'string') return BigInt(value.$int);
    return value;
  });
}
