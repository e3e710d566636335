import type { ColumnType } from '../../../../libs/database/src/binary-array.js';

/** Postgres types the mirror uses; `?` marks a nullable column. */
export type Column = ColumnType | `${ColumnType}?`;

type ValueOf<C extends Column> = C extends `${infer T extends ColumnType}?` ? ValueOf<T> | null : Plain<C>;
type Plain<C> = C extends 'bytea'
  ? Buffer
  : C extends 'int8'
    ? bigint
    : C extends 'int4' | 'int2'
      ? number
      : C extends 'bool'
        ? boolean
        : string;

export type Columns = Readonly<Record<string, Column>>;
export type RowOf<C extends Columns> = { [K in keyof C]: ValueOf<C[K]> };
export type AnyRow = Readonly<Record<string, Buffer | bigint | number | string | boolean | null>>;

/** A table of the mirror. Every one has a `network` column besides, and it is the first of its key. */
export interface Table<C extends Columns = Columns> {
  name: string;
  /** Property name (camelCase) → type; the SQL name is the same in snake_case. */
  columns: C;
  /** Primary key without `network`. */
  key: readonly string[];
}

export function defineTable<const C extends Columns>(
  name: string,
  columns: C,
  key: readonly (keyof C & string)[],
): Table<C> {
  return { name, columns, key };
}

export function sqlName(property: string): string {
  return property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

export function sqlType(column: Column): ColumnType {
  return column.replace('?', '') as ColumnType;
}

/** Row as the driver gives it (snake_case, int8 as text) → row of the program. */
export function fromSql<C extends Columns>(table: Table<C>, row: Record<string, unknown>): RowOf<C> {
  const result: Record<string, unknown> = {};
  for (const [property, column] of Object.entries(table.columns)) {
    const value = row[sqlName(property)];
    result[property] = value !== null && sqlType(column) === 'int8' ? BigInt(value as string) : value;
  }
  return result as RowOf<C>;
}
