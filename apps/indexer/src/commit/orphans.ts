import type { PoolClient } from 'pg';
import { decodeEvent, isSequenced } from '../../../../libs/contracts/src/event.codec.js';
import { keccak256 } from '../../../../libs/platform/src/keccak.js';
import type { Position } from '../follow/chain-source.js';
import { projections } from '../project/projections.js';
import { rebuild, touchedKeys } from '../project/projector.js';
import type { LedgerState, PlacedEvent } from '../verify/ledger.fold.js';
import { StatementBuilder } from './statement.js';

export interface Reorganisation {
  network: string;
  epoch: bigint;
  ancestor: Position;
  ancestorLedger: LedgerState;
  oldTip: Position;
  newTip: Position;
}

interface EventRow {
  topics: Buffer;
  data: Buffer;
  log_index: number;
  block_number: string;
  block_hash: Buffer;
  block_time: string;
  transaction_hash: Buffer;
  transaction_index: number;
}

const EVENT_COLUMNS =
  'topics, data, log_index, block_number, block_hash, block_time, transaction_hash, transaction_index';

/**
 * Takes the mirror back to the ancestor, inside the caller's transaction: orphaned events are moved, never deleted; blocks, inclusions
 * and notices follow from the chain and go; every row that an orphaned event had changed is folded again from what remains.
 */
export async function setOrphansAside(client: PoolClient, reorganisation: Reorganisation): Promise<void> {
  const { network, ancestor } = reorganisation;
  await moveCursorBack(client, reorganisation);
  const id = await noteReorganisation(client, reorganisation);
  const { rows: orphans } = await client.query<EventRow>(
    `WITH gone AS (DELETE FROM emr_event WHERE network = $1 AND block_number > $2 RETURNING *)
     INSERT INTO orphaned_event SELECT $3::bigint, gone.* FROM gone RETURNING ${EVENT_COLUMNS}`,
    [network, ancestor.number.toString(), id],
  );
  for (const table of ['inclusion', 'notice']) {
    await client.query(`DELETE FROM ${table} WHERE network = $1 AND block_number > $2`, [
      network,
      ancestor.number.toString(),
    ]);
  }
  await client.query('DELETE FROM block WHERE network = $1 AND number > $2', [network, ancestor.number.toString()]);
  await refold(client, network, orphans.map(place));
}

async function moveCursorBack(client: PoolClient, reorganisation: Reorganisation): Promise<void> {
  const { network, epoch, ancestor, ancestorLedger, oldTip } = reorganisation;
  const { rowCount } = await client.query(
    `UPDATE cursor SET number = $4, hash = $5, sequence = $6, head = $7
     WHERE network = $1 AND epoch = $2 AND hash = $3 AND final_number <= $4`,
    [
      network,
      epoch.toString(),
      oldTip.hash,
      ancestor.number.toString(),
      ancestor.hash,
      ancestorLedger.sequence.toString(),
      ancestorLedger.head,
    ],
  );
  if (rowCount !== 1) throw new Error('The cursor is not where this process left it, or another one leads.');
}

async function noteReorganisation(client: PoolClient, reorganisation: Reorganisation): Promise<string> {
  const { network, ancestor, oldTip, newTip } = reorganisation;
  const { rows } = await client.query<{ id: string }>(
    `INSERT INTO reorganisation (network, ancestor_number, old_tip, new_tip, depth)
     VALUES ($1, $2, $3, $4, $5) RETURNING id`,
    [network, ancestor.number.toString(), oldTip.hash, newTip.hash, (oldTip.number - ancestor.number).toString()],
  );
  return (rows[0] as { id: string }).id;
}

async function refold(client: PoolClient, network: string, orphans: readonly PlacedEvent[]): Promise<void> {
  if (orphans.length === 0) return;
  // What an anchor made goes with it, whatever remains.
  const folded = orphans.filter(({ event }) => event.type !== 'LedgerAnchored');
  const recordIds = [...new Map(folded.map(({ event }) => [event.recordId.toString('hex'), event.recordId])).values()];
  // Looks and refusals change nothing but the record's own sequence and head, which its last event alone tells.
  const { rows } = await client.query<EventRow>(
    `SELECT ${EVENT_COLUMNS} FROM (
       SELECT e.* FROM emr_event e
       WHERE e.network = $1 AND e.record_id = ANY($2) AND e.type NOT IN ('RecordQueried', 'AccessDenied')
       UNION
       SELECT last.* FROM unnest($2::bytea[]) AS r(id), LATERAL (
         SELECT e.* FROM emr_event e WHERE e.network = $1 AND e.record_id = r.id AND e.record_sequence > 0
         ORDER BY e.sequence DESC LIMIT 1) AS last
     ) AS remaining ORDER BY sequence`,
    [network, recordIds],
  );
  const builder = new StatementBuilder(network);
  for (const change of rebuild(touchedKeys(projections, orphans), rows.map(place))) builder.change(change);
  if (!builder.empty) await client.query(builder.build());
}

function place(row: EventRow): PlacedEvent {
  const topics = [0, 32, 64, 96].map((at) => row.topics.subarray(at, at + 32));
  const event = decodeEvent({ topics, data: row.data });
  if (!event || !isSequenced(event)) throw new Error('A stored event is none of the ledger.');
  return {
    event,
    leaf: keccak256(row.topics, row.data),
    topics: row.topics,
    data: row.data,
    logIndex: row.log_index,
    block: { number: BigInt(row.block_number), hash: row.block_hash, time: BigInt(row.block_time) },
    transactionHash: row.transaction_hash,
    transactionIndex: row.transaction_index,
  };
}
