import { type AnyRow, type Column, sqlType } from '../commit/table.js';
import type { PlacedEvent } from '../verify/ledger.fold.js';
import type { Key, Projection } from './projection.js';

/** Reads the rows of a projection that exist among `keys`. */
export type RowLoader = (projection: Projection, keys: readonly Key[]) => Promise<AnyRow[]>;

/** The distinct rows of one table that a commit changes. */
export interface TableChange {
  projection: Projection;
  upserts: AnyRow[];
  deletes: Key[];
}

/** A row as it is now; undefined: there is none. */
type Slot = { row: AnyRow | undefined };

// Rows kept in memory over all projections: at about 2 kB each a bound of some 20 MB.
const CACHED_ROWS = 10_000;

/**
 * Folds events into rows. Rows once read or written stay in memory, as nobody else writes them while this process leads; so a commit
 * on warm records reads nothing.
 */
export class Projector {
  private readonly cache = new Map<string, Slot>();
  /** Of each projection, the columns that hold bytes. */
  private readonly bytes: readonly (readonly string[])[];

  constructor(
    private readonly projections: readonly Projection[],
    private readonly load: RowLoader,
  ) {
    this.bytes = projections.map(({ table: { columns } }) =>
      Object.keys(columns).filter((property) => sqlType(columns[property] as Column) === 'bytea'),
    );
  }

  /**
   * The rows after `events`, each changed row once. What it returns must be committed, and in the order of the calls; else call `forget`.
   * @throws MismatchError
   */
  async apply(events: readonly PlacedEvent[]): Promise<TableChange[]> {
    const changes: TableChange[] = [];
    for (const [index, projection] of this.projections.entries()) {
      const touched = await this.fold(index, projection, events);
      if (touched.size > 0) changes.push(changeOf(projection, touched));
    }
    this.trim();
    return changes;
  }

  /** After a commit that failed, or rows that somebody else moved. */
  forget(): void {
    this.cache.clear();
  }

  private async fold(
    index: number,
    projection: Projection,
    events: readonly PlacedEvent[],
  ): Promise<Map<string, { key: Key; slot: Slot }>> {
    const touched = new Map<string, { key: Key; slot: Slot }>();
    const steps: { id: string; placed: PlacedEvent }[] = [];
    const missing: Key[] = [];
    for (const placed of events) {
      const key = projection.keyOf(placed.event);
      if (key === undefined) continue;
      const id = identify(index, key);
      steps.push({ id, placed });
      if (touched.has(id)) continue;
      const known = this.cache.get(id);
      if (known === undefined && !projection.begins(placed.event)) missing.push(key);
      touched.set(id, { key, slot: known ?? { row: undefined } });
    }
    for (const row of missing.length === 0 ? [] : await this.load(projection, missing)) {
      const entry = touched.get(identify(index, keyOfRow(projection, row)));
      if (entry) entry.slot.row = row;
    }
    const before = new Map([...touched.values()].map(({ slot }) => [slot, slot.row]));
    for (const { id, placed } of steps) {
      const { slot } = touched.get(id) as { slot: Slot };
      projection.verify?.(slot.row, placed);
      slot.row = projection.apply(slot.row, placed);
    }
    const bytes = this.bytes[index] as readonly string[];
    for (const [id, { slot }] of touched) this.keep(id, slot, bytes, before.get(slot));
    return touched;
  }

  private keep(id: string, slot: Slot, bytes: readonly string[], before: AnyRow | undefined): void {
    if (slot.row !== undefined) slot.row = own(slot.row, bytes, before);
    // Deleted first, so that the map's order is that of last use.
    this.cache.delete(id);
    this.cache.set(id, slot);
  }

  private trim(): void {
    for (const id of this.cache.keys()) {
      if (this.cache.size <= CACHED_ROWS) return;
      this.cache.delete(id);
    }
  }
}

/** Keys of the rows that these events changed, projection by projection. */
export function touchedKeys(projections: readonly Projection[], events: readonly PlacedEvent[]): TouchedRows[] {
  return projections.map((projection, index) => {
    const keys = new Map<string, Key>();
    for (const { event } of events) {
      const key = projection.keyOf(event);
      if (key) keys.set(identify(index, key), key);
    }
    return { projection, keys };
  });
}

export interface TouchedRows {
  projection: Projection;
  keys: Map<string, Key>;
}

/**
 * The touched rows as the remaining events give them, from nothing. A row that is not among the upserts has no event left.
 * @param remaining in order; at least every event that changed one of the rows, and the last event of each record
 */
export function rebuild(touched: readonly TouchedRows[], remaining: readonly PlacedEvent[]): TableChange[] {
  return touched.map(({ projection, keys }, index) => {
    const rows = new Map<string, AnyRow | undefined>();
    for (const placed of remaining) {
      const key = projection.keyOf(placed.event);
      const id = key && identify(index, key);
      if (id !== undefined && keys.has(id)) rows.set(id, projection.apply(rows.get(id), placed));
    }
    return {
      projection,
      upserts: [...rows.values()].filter((row) => row !== undefined),
      deletes: [...keys].flatMap(([id, key]) => (rows.get(id) === undefined ? [key] : [])),
    };
  });
}

function changeOf(projection: Projection, touched: Map<string, { key: Key; slot: Slot }>): TableChange {
  const change: TableChange = { projection, upserts: [], deletes: [] };
  for (const { key, slot } of touched.values()) {
    if (slot.row === undefined) change.deletes.push(key);
    else change.upserts.push(slot.row);
  }
  return change;
}

function keyOfRow(projection: Projection, row: AnyRow): Key {
  return projection.table.key.map((property) => row[property] as Buffer | bigint | number);
}

function identify(index: number, key: Key): string {
  let id = `${index}`;
  for (const part of key) id += Buffer.isBuffer(part) ? `|${part.toString('latin1')}` : `|${part}`;
  return id;
}

/** Bytes decoded from a log are views of it; a copy lets the log go. What was in the row before is a copy already. */
function own(row: AnyRow, bytes: readonly string[], before: AnyRow | undefined): AnyRow {
  const copy = { ...row };
  for (const property of bytes) {
    const value = row[property] as Buffer | null;
    if (value !== null && value !== before?.[property]) copy[property] = Buffer.from(value);
  }
  return copy;
}
