import { binaryArray } from '../../../../libs/database/src/binary-array.js';
import type { TableChange } from '../project/projector.js';
import { type AnyRow, type Column, sqlName, sqlType, type Table } from './table.js';

/** A named statement for pg: prepared once per connection, planned once, then only bound. */
export interface Statement {
  name: string;
  text: string;
  values: BoundValue[];
}

type BoundValue = string | Buffer;

/** What one statement does to one table. */
type Part = { kind: 'insert' | 'upsert' | 'delete'; table: Table; rows: readonly AnyRow[] };

export interface CursorMove {
  network: string;
  epoch: bigint;
  parentHash: Buffer;
  number: bigint;
  hash: Buffer;
  finalNumber: bigint;
  /** What the events of this commit follow on: the cursor must say so, or sequences would be missing or double. */
  sequenceBefore: bigint;
  sequence: bigint;
  head: Buffer;
}

/** Channel the gateway listens on; the payload is JSON of decimal strings. */
export const COMMIT_CHANNEL = 'mirror_commit';

/**
 * A whole commit as one statement, hence one round trip and one transaction: rows by unnest, cursor moved only from the parent it must
 * stand on and under our epoch, the listeners told. It fails as a whole unless exactly the expected rows landed.
 */
export class StatementBuilder {
  private readonly parts: Part[] = [];

  constructor(private readonly network: string) {}

  insert(table: Table, rows: readonly AnyRow[]): this {
    return this.add({ kind: 'insert', table, rows });
  }

  change({ projection, upserts, deletes }: TableChange): this {
    const { table } = projection;
    const keys = deletes.map((key) => Object.fromEntries(table.key.map((property, index) => [property, key[index]])));
    return this.add({ kind: 'upsert', table, rows: upserts }).add({ kind: 'delete', table, rows: keys as AnyRow[] });
  }

  get empty(): boolean {
    return this.parts.length === 0;
  }

  build(move?: CursorMove): Statement {
    const values: BoundValue[] = [this.network];
    const bind = (value: BoundValue, type: string) => `$${values.push(value)}::${type}`;
    const clauses: string[] = [];
    const results: string[] = [];
    if (move) {
      clauses.push(cursorClause(move, bind));
      results.push(`assert_rows('cursor', (SELECT count(*) FROM moved), 1)`);
    }
    for (const [index, part] of this.parts.entries()) {
      clauses.push(`part${index} AS (${partClause(part, bind)} RETURNING 1)`);
      if (part.kind === 'delete') continue; // what is to be gone may never have been there
      const expected = bind(part.rows.length.toString(), 'bigint');
      results.push(`assert_rows('${part.table.name}', (SELECT count(*) FROM part${index}), ${expected})`);
    }
    // A mirror that is being rebuilt beside the live one has no listeners: what it commits is long known.
    if (move) {
      const told = bind(notification(move), 'text');
      results.push(`CASE WHEN current_schema() = 'mirror' THEN pg_notify('${COMMIT_CHANNEL}', ${told}) END`);
    }
    if (results.length === 0) results.push('true');
    const shape = this.parts.map(({ kind, table }) => `${kind[0]}${table.name}`).join(' ');
    const text = `WITH ${clauses.join(',\n')}\nSELECT ${results.join(', ')}`;
    return { name: statementName(`${move ? 'move ' : ''}${shape}`), text, values };
  }

  private add(part: Part): this {
    if (part.rows.length > 0) this.parts.push(part);
    return this;
  }
}

type Bind = (value: BoundValue, type: string) => string;

function cursorClause(move: CursorMove, bind: Bind): string {
  return `moved AS (
  UPDATE cursor SET number = ${bind(move.number.toString(), 'bigint')}, hash = ${bind(move.hash, 'bytea')},
    final_number = ${bind(move.finalNumber.toString(), 'bigint')}, sequence = ${bind(move.sequence.toString(), 'bigint')},
    head = ${bind(move.head, 'bytea')}, stopped_reason = NULL
  WHERE network = $1::text AND hash = ${bind(move.parentHash, 'bytea')} AND epoch = ${bind(move.epoch.toString(), 'bigint')}
    AND sequence = ${bind(move.sequenceBefore.toString(), 'bigint')}
  RETURNING 1)`;
}

function partClause({ kind, table, rows }: Part, bind: Bind): string {
  const properties = kind === 'delete' ? table.key : Object.keys(table.columns);
  const arrays = properties.map((property) => {
    const type = sqlType(table.columns[property] as Column);
    return bind(
      binaryArray(
        type,
        rows.map((row) => row[property] as AnyRow[string]),
      ),
      `${type}[]`,
    );
  });
  const columns = properties.map(sqlName);
  const source = `unnest(${arrays.join(', ')}) AS u(${columns.join(', ')})`;
  if (kind === 'delete') {
    const match = columns.map((column) => `t.${column} = u.${column}`).join(' AND ');
    return `DELETE FROM ${table.name} AS t USING ${source} WHERE t.network = $1::text AND ${match}`;
  }
  const selected = columns.map((column) => `u.${column}`).join(', ');
  const insert = `INSERT INTO ${table.name} (network, ${columns.join(', ')}) SELECT $1::text, ${selected} FROM ${source}`;
  if (kind === 'insert') return insert;
  const keys = table.key.map(sqlName);
  const changed = columns.filter((column) => !keys.includes(column));
  // A table that is all key has nothing to set; setting a key column to itself still counts the row.
  const set = (changed.length > 0 ? changed : keys.slice(0, 1)).map((column) => `${column} = EXCLUDED.${column}`);
  return `${insert} ON CONFLICT (network, ${keys.join(', ')}) DO UPDATE SET ${set.join(', ')}`;
}

function notification({ network, number, finalNumber, sequence }: CursorMove): string {
  return JSON.stringify({
    network,
    number: number.toString(),
    finalNumber: finalNumber.toString(),
    sequence: sequence.toString(),
  });
}

const names = new Map<string, string>();

/** Postgres cuts names at 63 bytes, so each shape gets a number. */
function statementName(shape: string): string {
  const known = names.get(shape);
  if (known) return known;
  const name = `mirror_${names.size}`;
  names.set(shape, name);
  return name;
}
