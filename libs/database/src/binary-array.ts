/** Types an array of which can be sent in binary. int8 is bigint here, bytea a Buffer. */
export type ColumnType = 'bytea' | 'int8' | 'int4' | 'int2' | 'text' | 'bool';
export type ColumnValue = Buffer | bigint | number | string | boolean | null;

// pg_type.oid of each element type: fixed for ever by Postgres.
const oids: Record<ColumnType, number> = { bool: 16, bytea: 17, int8: 20, int2: 21, int4: 23, text: 25 };
const LEAST_INT8 = -(2n ** 63n);
const MOST_INT8 = 2n ** 63n - 1n;
const widths: Partial<Record<ColumnType, number>> = { bool: 1, int8: 8, int2: 2, int4: 4 };

/**
 * A one-dimensional array in Postgres' binary format (array_recv). pg sends a Buffer parameter as binary, so bytes travel as bytes and
 * not as hex inside text, which halves the traffic and saves most of the encoding.
 */
export function binaryArray(type: ColumnType, values: readonly ColumnValue[]): Buffer {
  let size = 20;
  let hasNull = 0;
  for (const value of values) {
    if (value === null) hasNull = 1;
    size += elementSize(type, value);
  }
  const target = allocate(size);
  target.view.setInt32(0, 1); // dimensions
  target.view.setInt32(4, hasNull);
  target.view.setInt32(8, oids[type]);
  target.view.setInt32(12, values.length);
  target.view.setInt32(16, 1); // lower bound
  let at = 20;
  for (const value of values) at = writeElement(target, at, type, value);
  return target.bytes;
}

/** The same bytes twice: numbers are written several times faster by a DataView, and bigints without making more of them. */
export interface Target {
  bytes: Buffer;
  view: DataView;
}

export function allocate(size: number): Target {
  const bytes = Buffer.allocUnsafe(size);
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, size) };
}

/** Bytes that `writeElement` writes: a length word, and the value unless it is null. */
export function elementSize(type: ColumnType, value: ColumnValue): number {
  return 4 + (value === null ? 0 : (widths[type] ?? byteLength(value)));
}

function byteLength(value: ColumnValue): number {
  return typeof value === 'string' ? Buffer.byteLength(value) : (value as Buffer).length;
}

/** One value as arrays and COPY hold it: its length, then its bytes. @returns where the next one starts @throws RangeError */
export function writeElement({ bytes, view }: Target, at: number, type: ColumnType, value: ColumnValue): number {
  const length = value === null ? -1 : (widths[type] ?? byteLength(value));
  view.setInt32(at, length);
  const start = at + 4;
  if (value === null) return start;
  switch (type) {
    case 'int8':
      view.setBigInt64(start, within(value as bigint, LEAST_INT8, MOST_INT8));
      break;
    case 'int4':
      view.setInt32(start, within(value as number, -0x8000_0000, 0x7fff_ffff));
      break;
    case 'int2':
      view.setInt16(start, within(value as number, -0x8000, 0x7fff));
      break;
    case 'bool':
      view.setUint8(start, value ? 1 : 0);
      break;
    case 'text':
      bytes.write(value as string, start);
      break;
    case 'bytea':
      bytes.set(value as Buffer, start);
      break;
  }
  return start + length;
}

/** A DataView would take what doesn't fit for something else. */
function within<T extends bigint | number>(value: T, least: T, most: T): T {
  if (value < least || value > most) throw new RangeError(`${value} does not fit its column`);
  return value;
}
