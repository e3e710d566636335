import type { Query } from '../../../../libs/database/src/transaction.js';
import type { Position } from '../follow/chain-source.js';
import { differing, exists, HISTORY, structureOf } from './structure.js';

/** The mirror that everybody reads. */
export const LIVE = 'mirror';
/** The one being made. */
export const REBUILT = 'mirror_rebuild';
/** The one that was live before, kept until somebody has looked. */
export const OLD = 'mirror_old';

/** The switch can't be made, and nothing was changed. The message says what to do. */
export class SwitchError extends Error {
  override readonly name = 'SwitchError';
}

/** Asked before hours of work, and again in the transaction that switches. @throws SwitchError */
export async function assertSwitchable(query: Query, networks: readonly string[]): Promise<void> {
  if (await exists(query, OLD)) {
    throw new SwitchError(`The schema ${OLD} of an earlier switch is still there: look at it, then --drop-old.`);
  }
  const others = await query<{ network: string }>(`SELECT network FROM ${LIVE}.cursor WHERE network <> ALL($1)`, [
    networks,
  ]);
  if (others.length > 0) {
    throw new SwitchError(
      `The live mirror also holds ${others.map(({ network }) => network).join(', ')}, which NETWORKS_FILE doesn't name as local or ` +
        'global; what is not rebuilt would be lost from view.',
    );
  }
  // A view or foreign key points at tables, not at names: it would go on pointing at the old ones.
  const bound = await query<{ name: string }>(
    `SELECT DISTINCT v.oid::regclass::text AS name FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
       JOIN pg_class v ON v.oid = r.ev_class JOIN pg_class c ON c.oid = d.refobjid AND d.refclassid = 'pg_class'::regclass
     WHERE c.relnamespace = '${LIVE}'::regnamespace AND v.relnamespace <> c.relnamespace
     UNION SELECT k.conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.confrelid
     WHERE c.relnamespace = '${LIVE}'::regnamespace AND k.connamespace <> c.relnamespace`,
  );
  if (bound.length > 0) {
    throw new SwitchError(
      `${bound.map(({ name }) => name).join(', ')} would stay with the old tables: drop it, switch, and make it again.`,
    );
  }
}

/**
 * Stops the live indexer's commits at once and until the transaction ends: each moves the cursor, whose rows are locked here. Readers
 * take no notice.
 * @returns where the live mirror stands now
 */
export async function holdLive(query: Query, networks: readonly string[]): Promise<Map<string, Position>> {
  const rows = await query<{ network: string; number: string; hash: Buffer }>(
    `SELECT network, number, hash FROM ${LIVE}.cursor WHERE network = ANY($1) ORDER BY network FOR UPDATE`,
    [networks],
  );
  return new Map(rows.map(({ network, number, hash }) => [network, { number: BigInt(number), hash }]));
}

/**
 * Puts the rebuilt mirror in the live one's place, inside the caller's transaction and after `holdLive`. A rename of schemas touches no
 * table and waits for no reader: a statement under way ends on the old tables, the next one reads the new. The live indexer's next
 * commit fails by its epoch, and it begins again where the new cursor stands.
 * @throws SwitchError
 */
export async function switchSchemas(query: Query): Promise<void> {
  const unlike = differing(await structureOf(query, LIVE), await structureOf(query, REBUILT));
  if (unlike.length > 0) {
    throw new SwitchError(
      `The live mirror was migrated since the rebuild began; begin anew with --fresh. (${unlike.slice(0, 3).join('; ')})`,
    );
  }
  await carryHistory(query);
  await query(`UPDATE ${LIVE}.cursor SET epoch = epoch + 1`);
  await query(`UPDATE ${REBUILT}.cursor AS r SET epoch = greatest(r.epoch, l.epoch) + 1 FROM ${LIVE}.cursor AS l
     WHERE l.network = r.network`);
  await query(`ALTER SCHEMA ${LIVE} RENAME TO ${OLD}`);
  await query(`ALTER SCHEMA ${REBUILT} RENAME TO ${LIVE}`);
}

/** What happened to the live mirror can't be read from the chain, so it moves along. Checkpoints must agree with the rebuilt blocks. */
async function carryHistory(query: Query): Promise<void> {
  for (const table of HISTORY) {
    if (!(await hasTable(query, table))) continue;
    await query(`LOCK TABLE ${LIVE}.${table} IN SHARE ROW EXCLUSIVE MODE`); // writers wait, readers don't
    if (table === 'checkpoint') continue;
    await query(`DELETE FROM ${REBUILT}.${table}`);
    await query(`INSERT INTO ${REBUILT}.${table} OVERRIDING SYSTEM VALUE SELECT * FROM ${LIVE}.${table}`);
  }
  const counters = await query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = '${LIVE}'::regnamespace AND relkind = 'S'`,
  );
  for (const { name } of counters) {
    await query(`SELECT setval('${REBUILT}.${name}', last_value, is_called) FROM ${LIVE}.${name}`);
  }
  const agreeing = `JOIN ${REBUILT}.block b ON b.network = l.network AND b.number = l.block_number AND b.hash = l.block_hash
    AND b.sequence = l.sequence AND b.head = l.head`;
  await query(`DELETE FROM ${REBUILT}.checkpoint AS r USING ${LIVE}.checkpoint AS l ${agreeing}
     WHERE r.network = l.network AND r.block_number = l.block_number`);
  await query(`INSERT INTO ${REBUILT}.checkpoint SELECT l.* FROM ${LIVE}.checkpoint AS l ${agreeing}`);
}

async function hasTable(query: Query, table: string): Promise<boolean> {
  const [row] = await query<{ has: boolean }>('SELECT to_regclass($1) IS NOT NULL AS has', [`${LIVE}.${table}`]);
  return row?.has ?? false;
}
