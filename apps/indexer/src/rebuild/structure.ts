import type { Query } from '../../../../libs/database/src/transaction.js';

/** How a mirror keeps its events: in one table, or in one a month (docs/decisions/017). */
export type Partitioning = 'none' | 'month';

/** The table that grows with every act, and the column its partitions are ranges of. */
const PARTITIONED = { table: 'emr_event', column: 'block_time' };

/** What happened to a mirror, no function of the chain: not compared, and carried over by a switch. */
export const HISTORY = ['orphaned_event', 'reorganisation', 'incident', 'checkpoint'];

interface TableRow {
  name: string;
  options: string | null;
}

/**
 * Makes `to`, a schema with the tables, keys, indexes, functions and rights that `from` has now, whatever migrations gave them, and no
 * rows. Runs inside the caller's transaction, as the owner of `from`.
 * @param to plain lower-case identifier; must not exist
 * @throws Error when `from` has something that is not copied here: better none than a mirror that lacks it
 */
export async function copyStructure(query: Query, from: string, to: string, partitioning: Partitioning): Promise<void> {
  // Postgres leaves out a schema that is searched, so that what it says of `from` can be said to `to`.
  const searching = (schema: string) => query(`SET LOCAL search_path TO ${schema}`);
  await searching(from);
  const tables = await tablesOf(query, from);
  const constraints = await constraintsOf(query, from);
  const indexes = await indexesOf(query, from);
  const functions = await functionsOf(query, from);
  const grants = await grantsOf(query, from);
  await query(`CREATE SCHEMA ${to}`);
  await searching(to);
  for (const { name, options } of tables) {
    const parted = name === PARTITIONED.table && partitioning === 'month';
    const storage = options && !parted ? `WITH (${options})` : '';
    await query(
      `CREATE TABLE ${name} (LIKE ${from}.${name} INCLUDING ALL EXCLUDING INDEXES)
       ${parted ? `PARTITION BY RANGE (${PARTITIONED.column})` : storage}`,
    );
  }
  for (const { table, name, definition } of constraints) {
    const fitting = table === PARTITIONED.table ? keyedFor(definition, partitioning) : definition;
    await query(`ALTER TABLE ${table} ADD CONSTRAINT ${name} ${fitting}`);
  }
  for (const definition of indexes) await query(definition);
  for (const definition of functions) await query(definition.replace(`FUNCTION ${from}.`, `FUNCTION ${to}.`));
  await query(`REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ${to} FROM PUBLIC`); // what Postgres grants by itself; the real rights follow
  for (const { privilege, on, name, grantee } of grants) {
    const object = on === 'SCHEMA' ? to : name;
    await query(`GRANT ${privilege} ON ${on} ${object} TO ${grantee}`);
  }
  const unlike = differing(await structureOf(query, from), await structureOf(query, to));
  if (unlike.length > 0) throw new Error(`The structure of ${from} could not be copied: ${unlike.join('; ')}.`);
}

/** Lines that one of two structures has and the other hasn't. */
export function differing(one: readonly string[], other: readonly string[]): string[] {
  return [...one.filter((line) => !other.includes(line)), ...other.filter((line) => !one.includes(line))];
}

/** A key of a partitioned table names the column it is partitioned by; one of a plain table needs not. */
function keyedFor(definition: string, partitioning: Partitioning): string {
  const plain = definition.replace(`, ${PARTITIONED.column})`, ')');
  return partitioning === 'month' ? plain.replace(/\)$/, `, ${PARTITIONED.column})`) : plain;
}

/** Whether the events of a schema's mirror are kept by month. */
export async function partitioningOf(query: Query, schema: string): Promise<Partitioning> {
  const rows = await query(
    `SELECT FROM pg_class WHERE relnamespace = $1::regnamespace AND relname = $2 AND relkind = 'p'`,
    [schema, PARTITIONED.table],
  );
  return rows.length > 0 ? 'month' : 'none';
}

export async function exists(query: Query, schema: string): Promise<boolean> {
  const rows = await query('SELECT FROM pg_namespace WHERE nspname = $1', [schema]);
  return rows.length > 0;
}

/**
 * All that makes up a schema, a line each, partitioning left out: two mirrors with the same lines can take each other's place. Changes
 * the transaction's search path.
 */
export async function structureOf(query: Query, schema: string): Promise<string[]> {
  await query(`SET LOCAL search_path TO ${schema}`);
  const constraints = (await constraintsOf(query, schema)).map(
    ({ table, name, definition }) =>
      `${table}: ${name} ${table === PARTITIONED.table ? keyedFor(definition, 'none') : definition}`,
  );
  const columns = await query<{ line: string }>(
    `SELECT format('%s: column %s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
       CASE WHEN a.attnotnull THEN 'not null' END, a.attstorage) AS line
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition ORDER BY c.relname, a.attnum`,
    [schema],
  );
  const triggers = await query<{ line: string }>(
    `SELECT pg_get_triggerdef(t.oid, true) AS line FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
     WHERE c.relnamespace = $1::regnamespace AND NOT t.tgisinternal AND NOT c.relispartition ORDER BY 1`,
    [schema],
  );
  const functions = (await functionsOf(query, schema)).map((definition) => definition.replace(`${schema}.`, ''));
  const grants = (await grantsOf(query, schema)).map(
    ({ privilege, on, name, grantee }) => `${privilege} on ${on} ${name} to ${grantee}`,
  );
  const indexes = await indexesOf(query, schema);
  return [...columns, ...triggers]
    .map(({ line }) => line)
    .concat(constraints, indexes, functions, grants)
    .map((line) => line.replace(/\s+/g, ' ').trim());
}

function tablesOf(query: Query, schema: string): Promise<TableRow[]> {
  return query(
    `SELECT relname AS name, array_to_string(reloptions, ', ') AS options FROM pg_class
     WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname`,
    [schema],
  );
}

/** Keys; CHECK and NOT NULL come along with the columns. Foreign keys last: they need the keys they point at. */
function constraintsOf(query: Query, schema: string): Promise<{ table: string; name: string; definition: string }[]> {
  return query(
    `SELECT c.relname AS table, k.conname AS name, pg_get_constraintdef(k.oid, true) AS definition
     FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
     WHERE k.connamespace = $1::regnamespace AND k.contype IN ('p', 'u', 'x', 'f') AND NOT c.relispartition
     ORDER BY k.contype = 'f', c.relname, k.conname`,
    [schema],
  );
}

async function indexesOf(query: Query, schema: string): Promise<string[]> {
  const rows = await query<{ definition: string }>(
    `SELECT pg_get_indexdef(i.indexrelid, 0, true) AS definition FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
     WHERE c.relnamespace = $1::regnamespace AND NOT c.relispartition AND c.relkind IN ('r', 'p')
       AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid) ORDER BY 1`,
    [schema],
  );
  return rows.map(({ definition }) => definition.replace(' ON ONLY ', ' ON '));
}

async function functionsOf(query: Query, schema: string): Promise<string[]> {
  const rows = await query<{ definition: string }>(
    'SELECT pg_get_functiondef(oid) AS definition FROM pg_proc WHERE pronamespace = $1::regnamespace ORDER BY proname',
    [schema],
  );
  return rows.map(({ definition }) => definition);
}

interface Grant {
  privilege: string;
  on: 'SCHEMA' | 'TABLE' | 'SEQUENCE' | 'FUNCTION';
  name: string;
  grantee: string;
}

function grantsOf(query: Query, schema: string): Promise<Grant[]> {
  return query(
    `SELECT a.privilege_type AS privilege, o.kind AS on, o.name,
       CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee
     FROM (
       SELECT 'SCHEMA' AS kind, 'it' AS name, nspacl AS acl, nspowner AS owner FROM pg_namespace WHERE nspname = $1
       UNION ALL SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, relname, relacl, relowner FROM pg_class
         WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p', 'S') AND NOT relispartition
       UNION ALL SELECT 'FUNCTION', oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner)), proowner FROM pg_proc WHERE pronamespace = $1::regnamespace
     ) o, aclexplode(o.acl) a WHERE a.grantee <> o.owner ORDER BY 2, 3, 4, 1`,
    [schema],
  );
}
