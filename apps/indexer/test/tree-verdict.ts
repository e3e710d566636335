import type { AnyRow } from '../src/commit/table.js';
import type { Projection } from '../src/project/projection.js';
import type { FoldedBlock } from '../src/verify/ledger.fold.js';
import { extend, MemoryMirror } from './memory-mirror.js';
import { eventKeys, plainFold, type TreeRun } from './tree-run.js';

/** What a mirror holds when all is over; events by the names of `eventKeys`, rows by those of `rowKeys`. */
export interface MirrorContent {
  tip: Buffer;
  events: string[];
  orphans: string[];
  rows: string[];
}

/** How far a mirror is from the canonical chain. All zero is right. */
export interface Verdict {
  /** Events of the canonical chain that the mirror has not. */
  missing: number;
  /** Events that it has more than once. */
  double: number;
  /** Events that it has and the canonical chain has not. */
  stale: number;
  /** Events it once had that are neither there nor among the orphans. */
  lost: number;
  /** Rows of the projections that differ from one fold over everything. */
  rows: number;
}

export async function judge(run: TreeRun, content: MirrorContent): Promise<Verdict> {
  const expected = plainFold(run.canonical);
  const canonical = new Set(eventKeys(expected));
  const mirrored = new Set(content.events);
  const orphans = new Set(content.orphans);
  const rows = new Set(rowKeys(await replay(expected)));
  const held = new Set(content.rows);
  const without = (these: Iterable<string>, ...those: Set<string>[]) =>
    [...these].filter((one) => !those.some((set) => set.has(one))).length;
  const behind = content.tip.equals((expected.at(-1) as FoldedBlock).block.hash) ? 0 : 1;
  return {
    missing: without(canonical, mirrored) + behind,
    double: content.events.length - mirrored.size,
    stale: without(mirrored, canonical),
    lost: without(run.committed, mirrored, orphans),
    rows: without(rows, held) + without(held, rows) + content.rows.length - held.size,
  };
}

export function contentOf(mirror: MemoryMirror): MirrorContent {
  return {
    tip: (mirror.blocks.at(-1) as FoldedBlock).block.hash,
    events: eventKeys(mirror.blocks),
    orphans: mirror.orphans.map(
      ({ block, logIndex, event }) => `${block.hash.toString('hex')} ${logIndex} ${event.sequence}`,
    ),
    rows: rowKeys(mirror.tables),
  };
}

/** The projections as one fold over everything gives them. */
async function replay(blocks: readonly FoldedBlock[]): Promise<Map<Projection, Map<string, AnyRow>>> {
  const mirror = new MemoryMirror(blocks[0] as FoldedBlock);
  await extend(mirror, { blocks: blocks.slice(1), finalNumber: 0n });
  return mirror.tables;
}

function rowKeys(tables: Map<Projection, Map<string, AnyRow>>): string[] {
  return [...tables].flatMap(([projection, rows]) => [...rows.values()].map((row) => rowKey(projection, row)));
}

/** One name a row: its table and everything in it. */
export function rowKey({ table }: Projection, row: AnyRow): string {
  const show = (value: unknown) => (Buffer.isBuffer(value) ? value.toString('base64') : String(value));
  return `${table.name} ${Object.keys(table.columns).map((name) => show(row[name]))}`;
}
