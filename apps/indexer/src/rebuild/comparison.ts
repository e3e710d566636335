import type { Query } from '../../../../libs/database/src/transaction.js';
import { HISTORY } from './structure.js';

/** A row that two mirrors don't have alike, in words. */
export type Difference = string;

export interface TableComparison {
  table: string;
  network: string;
  /** In the live mirror. */
  rows: number;
  /** The first ones, by key; none when the tables are equal byte for byte. */
  differences: Difference[];
}

/** One of the two mirrors compared: where its rows are, and the connection that sees them as they were at one moment. */
export interface Side {
  schema: string;
  query: Query;
}

interface Shape {
  table: string;
  columns: string[];
  key: { name: string; type: string }[];
  /** Column with the number of the row's block; undefined for what is a state and no history. */
  block: string | undefined;
}

const CHUNK_ROWS = 5_000;
const DIFFERENCES_NAMED = 5;

/**
 * Compares every table that is a function of the chain, row by row in the order of its key. Postgres hashes the rows, so that only hashes
 * travel; rows themselves are read only where the hashes differ.
 * @param through compares histories up to this block and leaves out the states; undefined when both sides stand on the same block
 */
export async function compareNetwork(
  network: string,
  live: Side,
  rebuilt: Side,
  through: bigint | undefined,
  onTable: (comparison: TableComparison) => void,
): Promise<TableComparison[]> {
  const comparisons: TableComparison[] = [];
  for (const shape of await shapes(live)) {
    if (through !== undefined && shape.block === undefined) continue;
    const scope = new Scope(shape, network, through);
    const [before, after] = await Promise.all([scope.digests(live), scope.digests(rebuilt)]);
    const first = firstDifference(before, after);
    const comparison = {
      ...{ table: shape.table, network },
      rows: before.reduce((sum, { rows }) => sum + rows, 0),
      differences: first === undefined ? [] : await scope.differences(live, rebuilt, first, after.length),
    };
    comparisons.push(comparison);
    onTable(comparison);
  }
  return comparisons;
}

interface Chunk {
  rows: number;
  digest: string;
}

interface KeyedRow {
  key: string[];
  digest: string;
}

/** The rows of one table that are compared. */
class Scope {
  private readonly filter: string;
  private readonly values: string[];
  private readonly digest: string;
  private readonly order: string;

  constructor(
    private readonly shape: Shape,
    private readonly network: string,
    through: bigint | undefined,
  ) {
    this.filter = `${shape.table === 'network' ? 'name' : 'network'} = $1`;
    this.values = [network];
    if (through !== undefined) {
      this.filter += ` AND ${shape.block} <= $2::bigint`;
      this.values.push(through.toString());
    }
    // Text and not the stored bytes: those differ with compression and with the order in which a row was changed.
    this.digest = `sha256(convert_to(ROW(${shape.columns.join(', ')})::text, 'UTF8'))`;
    this.order = shape.key.map(({ name }) => name).join(', ');
  }

  digests({ schema, query }: Side): Promise<Chunk[]> {
    return query<Chunk>(
      `SELECT count(*)::int AS rows, encode(sha256(string_agg(digest, ''::bytea ORDER BY n)), 'hex') AS digest
       FROM (SELECT row_number() OVER (ORDER BY ${this.order}) AS n, ${this.digest} AS digest
             FROM ${schema}.${this.shape.table} WHERE ${this.filter}) AS r
       GROUP BY (n - 1) / ${CHUNK_ROWS} ORDER BY (n - 1) / ${CHUNK_ROWS}`,
      this.values,
    );
  }

  /** @param chunk the first that differs; @param chunks how many the rebuilt side has */
  async differences(live: Side, rebuilt: Side, chunk: number, chunks: number): Promise<Difference[]> {
    const offset = chunk * CHUNK_ROWS;
    const [before] = offset === 0 ? [] : await this.rows(rebuilt, { offset: offset - 1, limit: 1 });
    const right = await this.rows(rebuilt, { offset, limit: CHUNK_ROWS });
    const last = chunk + 1 < chunks ? right.at(-1) : undefined;
    // Rows that were put in or taken away shift what follows, so the live side is cut by key.
    const left = await this.rows(live, { after: before?.key, through: last?.key, limit: 4 * CHUNK_ROWS });
    const inLeft = new Map(left.map(({ key, digest }) => [key.join(), digest]));
    const inRight = new Map(right.map(({ key, digest }) => [key.join(), digest]));
    const differing = [
      ...right.filter(({ key, digest }) => inLeft.get(key.join()) !== digest),
      ...left.filter(({ key }) => !inRight.has(key.join())),
    ];
    const named: Difference[] = [];
    for (const { key } of differing.slice(0, DIFFERENCES_NAMED)) named.push(await this.describe(live, rebuilt, key));
    if (differing.length > named.length) named.push(`${differing.length - named.length} more rows near these`);
    return named;
  }

  private rows(
    { schema, query }: Side,
    cut: { offset?: number; limit: number; after?: string[] | undefined; through?: string[] | undefined },
  ): Promise<KeyedRow[]> {
    const values = [...this.values];
    const bound = (comparison: string, key: string[] | undefined) => {
      if (!key) return '';
      const parameters = key.map((part, index) => `$${values.push(part)}::${this.shape.key[index]?.type}`);
      return ` AND (${this.order}) ${comparison} (${parameters.join(', ')})`;
    };
    const filter = this.filter + bound('>', cut.after) + bound('<=', cut.through);
    return query<KeyedRow>(
      `SELECT ARRAY[${this.shape.key.map(({ name }) => `${name}::text`).join(', ')}] AS key, encode(${this.digest}, 'hex') AS digest
       FROM ${schema}.${this.shape.table} WHERE ${filter} ORDER BY ${this.order} LIMIT ${cut.limit} OFFSET ${cut.offset ?? 0}`,
      values,
    );
  }

  private async describe(live: Side, rebuilt: Side, key: string[]): Promise<Difference> {
    const [left, right] = await Promise.all([this.row(live, key), this.row(rebuilt, key)]);
    const which = this.shape.key.flatMap(({ name }, index) => (name === 'network' ? [] : [`${name} ${key[index]}`]));
    const row = `${this.shape.table} of ${[this.network, ...which].join(', ')}`;
    if (!left) return `${row}: missing in the live mirror`;
    if (!right) return `${row}: in the live mirror, not on the chain`;
    const unlike = this.shape.columns.filter((column) => left[column] !== right[column]);
    const each = unlike.map((name) => `${name} is ${differently(left[name], right[name]).join(', by the chain ')}`);
    return `${row}: ${each.join('; ')}`;
  }

  private async row({ schema, query }: Side, key: string[]): Promise<Record<string, string | null> | undefined> {
    const columns = this.shape.columns.map((name) => `${name}::text AS ${name}`).join(', ');
    const match = this.shape.key.map(({ name, type }, index) => `${name} = $${index + 1}::${type}`).join(' AND ');
    const rows = await query<Record<string, string | null>>(
      `SELECT ${columns} FROM ${schema}.${this.shape.table} WHERE ${match}`,
      key,
    );
    return rows[0];
  }
}

async function shapes({ schema, query }: Side): Promise<Shape[]> {
  const rows = await query<Omit<Shape, 'block'>>(
    `SELECT c.relname AS table,
       (SELECT json_agg(a.attname ORDER BY a.attname) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod)) ORDER BY k.n)
        FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, n)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum) AS key
     FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
     WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> ALL($2)
     ORDER BY c.relname`,
    [schema, [...HISTORY, 'cursor', 'lead']], // the cursor is compared apart; who leads says nothing of the chain
  );
  return rows.map((row) => ({
    ...row,
    block: row.table === 'block' ? 'number' : row.columns.find((column) => column === 'block_number'),
  }));
}

function firstDifference(left: readonly Chunk[], right: readonly Chunk[]): number | undefined {
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    if (left[index]?.digest !== right[index]?.digest) return index;
  }
  return undefined;
}

const SHOWN = 70;

/** Two values, cut to where they begin to differ. */
function differently(left: string | null | undefined, right: string | null | undefined): [string, string] {
  const [one, other] = [left ?? 'null', right ?? 'null'];
  let at = 0;
  while (one[at] === other[at]) at++;
  const from = at < SHOWN / 2 ? 0 : at - 10;
  const cut = (text: string) =>
    `${from > 0 ? '…' : ''}${text.slice(from, from + SHOWN)}${text.length > from + SHOWN ? '…' : ''}`;
  return [cut(one), cut(other)];
}
