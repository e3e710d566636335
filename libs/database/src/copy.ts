import type { ClientBase, Connection, Submittable } from 'pg';
import { type ColumnType, type ColumnValue, elementSize, writeElement } from './binary-array.js';

// "PGCOPY\n\377\r\n\0", then flags and the length of an extension, both 0 (COPY, "Binary Format").
const HEADER = Buffer.from('5047434f50590aff0d0a000000000000000000', 'hex');
const TRAILER = Buffer.from('ffff', 'hex');

/** A column and where its value comes from: a property of the row, or one value for all rows. */
export type CopyColumn = { name: string; type: ColumnType } & ({ property: string } | { value: ColumnValue });

export type CopyRow = Readonly<Record<string, ColumnValue>>;

/**
 * COPY … FROM STDIN in binary: rows reach their table without passing a statement's executor, many to a page and to a record of the
 * log. The client must be inside a transaction of its own if the rows are to stand or fall with others.
 * @returns how many rows the server took
 * @throws DatabaseError, and none of the rows is there
 */
export function copyRows(
  client: ClientBase,
  table: string,
  columns: readonly CopyColumn[],
  rows: readonly CopyRow[],
): Promise<number> {
  const names = columns.map(({ name }) => name).join(', ');
  const text = `COPY ${table} (${names}) FROM STDIN (FORMAT binary)`;
  return new Promise((resolve, reject) => {
    client.query(new CopyIn(text, encodeRows(columns, rows), resolve, reject));
  });
}

/** Rows in COPY's binary format, header and trailer included. */
function encodeRows(columns: readonly CopyColumn[], rows: readonly CopyRow[]): Buffer {
  const given = (row: CopyRow, column: CopyColumn) => ('property' in column ? row[column.property]! : column.value);
  let size = HEADER.length + TRAILER.length;
  for (const row of rows) {
    size += 2;
    for (const column of columns) size += elementSize(column.type, given(row, column));
  }
  const target = Buffer.allocUnsafe(size);
  let at = HEADER.copy(target);
  for (const row of rows) {
    at = target.writeInt16BE(columns.length, at);
    for (const column of columns) at = writeElement(target, at, column.type, given(row, column));
  }
  TRAILER.copy(target, at);
  return target;
}

/** pg's own Query answers CopyInResponse by failing; anything with `submit` may take its place. */
class CopyIn implements Submittable {
  private failure: Error | undefined;
  private count = 0;
  /** pg wraps it where a query has a time limit. */
  callback: (error: Error | null, count?: number) => void;

  constructor(
    private readonly text: string,
    private readonly data: Buffer,
    resolve: (count: number) => void,
    reject: (error: Error) => void,
  ) {
    this.callback = (error, count) => (error ? reject(error) : resolve(count as number));
  }

  submit(connection: Connection): void {
    connection.query(this.text);
  }

  handleCopyInResponse(connection: Connection & { sendCopyFromChunk(data: Buffer): void; endCopyFrom(): void }): void {
    connection.sendCopyFromChunk(this.data);
    connection.endCopyFrom();
  }

  handleCommandComplete({ text }: { text: string }): void {
    this.count = Number(/^COPY (\d+)$/.exec(text)?.[1] ?? 0);
  }

  handleError(error: Error): void {
    this.failure = error;
    this.callback(error);
  }

  handleReadyForQuery(): void {
    if (this.failure === undefined) this.callback(null, this.count);
  }
}
