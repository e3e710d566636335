import type { ClientBase, Connection, Submittable } from 'pg';
import { allocate, type ColumnType, type ColumnValue, elementSize, writeElement } from './binary-array.js';

// "PGCOPY\n\377\r\n\0", then flags and the length of an extension, both 0 (COPY, "Binary Format").
const HEADER = Buffer.from('5047434f50590aff0d0a000000000000000000', 'hex');
const TRAILER = Buffer.from('ffff', 'hex');

/** A column and where its value comes from: a property of the row, or one value for all rows. */
export type CopyColumn = { name: string; type: ColumnType } & ({ property: string } | { value: ColumnValue });

export type CopyRow = Readonly<Record<string, ColumnValue>>;

export interface Copy {
  table: string;
  columns: readonly CopyColumn[];
  rows: readonly CopyRow[];
}

/** A statement as the driver takes it, its values in the form they are sent in. */
export interface SentStatement {
  name: string;
  text: string;
  values: readonly (string | Buffer | null)[];
}

/**
 * COPY … FROM STDIN in binary: rows reach their table without passing a statement's executor, many to a page and to a record of the
 * log. The client must be inside a transaction of its own if the rows are to stand or fall with others.
 * @returns how many rows the server took
 * @throws DatabaseError, and none of the rows is there
 */
export async function copyRows(
  client: ClientBase,
  table: string,
  columns: readonly CopyColumn[],
  rows: readonly CopyRow[],
): Promise<number> {
  const [landed] = await fly(client, undefined, [encodeCopy({ table, columns, rows })]);
  return landed as number;
}

/**
 * BEGIN, a statement and then copies, all of it sent before the server has answered anything: however busy this process is, the server
 * needn't wait for it in between. The transaction is left open; after a failure it is to be rolled back.
 * @returns how many rows the server took of each copy
 * @throws DatabaseError of the first that failed: what came after it was not carried out
 */
export function beginWithCopies(
  client: ClientBase,
  statement: SentStatement,
  copies: readonly EncodedCopy[],
): Promise<number[]> {
  return fly(client, statement, copies);
}

function fly(client: ClientBase, first: SentStatement | undefined, copies: readonly EncodedCopy[]): Promise<number[]> {
  return new Promise((resolve, reject) => {
    client.query(new Flight(first, copies, resolve, reject));
  });
}

/** A copy as it is sent. */
export interface EncodedCopy {
  table: string;
  /** How many. */
  rows: number;
  text: string;
  data: Buffer;
}

export function encodeCopy({ table, columns, rows }: Copy): EncodedCopy {
  const names = columns.map(({ name }) => name).join(', ');
  const text = `COPY ${table} (${names}) FROM STDIN (FORMAT binary)`;
  return { table, rows: rows.length, text, data: encodeRows(columns, rows) };
}

/** Rows in COPY's binary format, header and trailer included. */
function encodeRows(columns: readonly CopyColumn[], rows: readonly CopyRow[]): Buffer {
  const sources = columns.map(sourceOf);
  let size = HEADER.length + TRAILER.length;
  for (const row of rows) {
    size += 2;
    for (const { type, of } of sources) size += elementSize(type, of(row));
  }
  const target = allocate(size);
  let at = HEADER.copy(target.bytes);
  for (const row of rows) {
    target.view.setInt16(at, columns.length);
    at += 2;
    for (const { type, of } of sources) at = writeElement(target, at, type, of(row));
  }
  TRAILER.copy(target.bytes, at);
  return target.bytes;
}

/** Where a column's values come from. The one text of all rows is encoded once: a string costs more than all numbers of a row. */
function sourceOf(column: CopyColumn): { type: ColumnType; of: (row: CopyRow) => ColumnValue } {
  const { type } = column;
  if ('property' in column) return { type, of: (row) => row[column.property]! };
  const { value } = column;
  if (typeof value !== 'string') return { type, of: () => value };
  const bytes = Buffer.from(value);
  return { type: 'bytea', of: () => bytes };
}

/** What the driver's connection can do and its types don't tell. */
type Wire = Connection & {
  parsedStatements: Record<string, string>;
  stream: { cork(): void; uncork(): void; destroy(error: Error): void };
  parse(statement: { name?: string; text: string }): void;
  bind(bound: { statement?: string; values?: readonly unknown[] }): void;
  execute(portal: object): void;
  sync(): void;
  sendCopyFromChunk(data: Buffer): void;
  endCopyFrom(): void;
};

/**
 * Statements of the extended protocol up to one Sync: the server carries them out in turn, and passes over what follows one that failed
 * (PostgreSQL, "Extended Query" and "COPY Operations"). pg's own Query sends one statement, and answers CopyInResponse by failing; anything
 * with `submit` may take its place.
 */
class Flight implements Submittable {
  /** Where the driver notes that the first statement is prepared. */
  readonly name: string | undefined;
  readonly text: string | undefined;
  private failure: Error | undefined;
  private readonly counts: number[] = [];
  /** pg wraps it where a query has a time limit. */
  callback: (error: Error | null, counts?: number[]) => void;

  constructor(
    private readonly first: SentStatement | undefined,
    private readonly copies: readonly EncodedCopy[],
    resolve: (counts: number[]) => void,
    reject: (error: Error) => void,
  ) {
    this.name = first?.name;
    this.text = first?.text;
    this.callback = (error, counts) => (error ? reject(error) : resolve(counts as number[]));
  }

  /** @returns what is wrong with the statement, as the driver wants it; nothing was sent then */
  submit(connection: Connection): Error | undefined {
    const wire = connection as Wire;
    const { first } = this;
    const prepared = first && wire.parsedStatements[first.name];
    if (prepared !== undefined && prepared !== first?.text) return new Error(`${first?.name} is another statement.`);
    wire.stream.cork();
    try {
      if (first) {
        // Parsed before anything else is: the driver takes whatever is parsed first for it.
        if (prepared === undefined) wire.parse(first);
        carryOut(wire, 'BEGIN');
        wire.bind({ statement: first.name, values: first.values });
        wire.execute({});
      }
      for (const { text, data } of this.copies) {
        carryOut(wire, text);
        wire.sendCopyFromChunk(data);
        wire.endCopyFrom();
      }
      wire.sync();
    } catch (error) {
      // Without the Sync nobody would ever be answered here.
      wire.stream.destroy(error as Error);
    } finally {
      wire.stream.uncork();
    }
    return undefined;
  }

  /** The rows are on their way already. */
  handleCopyInResponse(): void {}

  /** What the statement itself answers is for nobody: it fails where it doesn't do what it should. */
  handleDataRow(): void {}

  handleCommandComplete({ text }: { text: string }): void {
    const copied = /^COPY (\d+)$/.exec(text)?.[1];
    if (copied !== undefined) this.counts.push(Number(copied));
  }

  handleError(error: Error): void {
    this.failure = error;
    this.callback(error);
  }

  handleReadyForQuery(): void {
    if (this.failure === undefined) this.callback(null, this.counts);
  }
}

function carryOut(wire: Wire, text: string): void {
  wire.parse({ text });
  wire.bind({});
  wire.execute({});
}
