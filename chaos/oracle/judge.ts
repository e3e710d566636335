import pg from 'pg';
import { addressOf } from '../../../libs/chain-client/src/keys/secp256k1.js';
import type { ChainLog } from '../../../libs/chain-client/src/rpc/reader.js';
import {
  decodeEvent,
  foldHead,
  isSequenced,
  leafOf,
  type SequencedEvent,
} from '../../../libs/contracts/src/event.codec.js';
import { toHex } from '../../../libs/platform/src/bytes.js';
import type { E2eHospital } from '../hospitals.js';
import { ledgerOf, relayerKey } from '../ledger.js';
import type { Act } from './load.js';

export interface Verdict {
  /** One line for each thing that must not be. */
  wrong: string[];
  events: number;
  operations: number;
  transactions: number;
}

interface OnChain {
  event: SequencedEvent;
  log: ChainLog;
}

/** What the founding of a ledger has for a request, and an act on no record for a record. */
const NOTHING = toHex(Buffer.alloc(32));

const expected = { query: 'RecordQueried', open: 'RecordOpened', refused: 'AccessDenied' } as const;

/**
 * Holds what clients were told, what the database says and what the chain says against each other (local network). The chain is
 * read from the node, by eth_getLogs; every head is folded here.
 */
export async function judge(hospital: E2eHospital, acts: Act[]): Promise<Verdict> {
  const ledger = ledgerOf(hospital, 'local');
  const database = new pg.Client({ connectionString: hospital.database.ownerUrl });
  await database.connect();
  try {
    const relayer = addressOf(await relayerKey(hospital, 'local'));
    const logs = await ledger.logs();
    const wrong: string[] = [];
    const { byRequest, head } = readChain(logs, wrong);
    toldAndTrue(acts, byRequest, wrong);
    const operations = await acceptedAndDone(database, byRequest, wrong);
    const mined = await ledger.reader.transactionCount(relayer, 'latest');
    const pending = await ledger.reader.transactionCount(relayer, 'pending');
    if (pending !== mined) wrong.push(`${pending - mined} transactions wait in the node's pool`);
    const transactions = await noncesWithoutGap(database, relayer, mined, logs, wrong);
    await mirrored(database, byRequest, head, wrong);
    return { wrong, events: byRequest.size, operations, transactions };
  } finally {
    await database.end();
    await ledger.close();
  }
}

/** Events by request id, each sequence once and in order, each head as the fold says. */
function readChain(logs: ChainLog[], wrong: string[]): { byRequest: Map<string, OnChain[]>; head: Buffer } {
  const byRequest = new Map<string, OnChain[]>();
  const records = new Map<string, { sequence: bigint; head: Buffer }>();
  let head: Buffer = Buffer.alloc(32);
  let sequence = 0n;
  for (const log of logs) {
    const event = decodeEvent(log);
    if (!event) {
      wrong.push(`an unknown log in block ${log.blockNumber}`);
    } else if (event.type === 'Head') {
      if (event.sequence !== sequence || !event.head.equals(head))
        wrong.push(`the head after ${sequence} does not fold`);
    } else if (!isSequenced(event)) {
      wrong.push(`the ledger met ${event.type} in block ${log.blockNumber}: something was sent twice or changed`);
    } else {
      if (event.sequence !== sequence + 1n) wrong.push(`sequence ${event.sequence} follows ${sequence}`);
      sequence = event.sequence;
      const leaf = leafOf(log);
      head = foldHead(head, sequence, leaf);
      const id = toHex(event.recordId);
      // An act on actors or hospitals stands in the ledger's own chain alone.
      if (id !== NOTHING) {
        const record = records.get(id) ?? { sequence: 0n, head: Buffer.alloc(32) };
        if (event.recordSequence !== record.sequence + 1n || !event.recordHead.equals(record.head)) {
          wrong.push(`event ${sequence} does not continue its record`);
        }
        records.set(id, { sequence: event.recordSequence, head: foldHead(record.head, event.recordSequence, leaf) });
      }
      const request = toHex(event.requestId);
      byRequest.set(request, [...(byRequest.get(request) ?? []), { event, log }]);
    }
  }
  for (const [request, found] of byRequest) {
    if (found.length > 1 && request !== NOTHING) wrong.push(`request ${request} has ${found.length} effects`);
  }
  return { byRequest, head };
}

/** Each accepted act has its one event of the right kind; what an answer called confirmed or denied is that event. */
function toldAndTrue(acts: Act[], byRequest: Map<string, OnChain[]>, wrong: string[]): void {
  for (const act of acts) {
    if (act.requestId === undefined) continue;
    const found = byRequest.get(act.requestId)?.[0];
    if (!found) wrong.push(`${act.kind} ${act.key} was accepted (${act.state}) and is not on the chain`);
    else if (found.event.type !== expected[act.kind]) wrong.push(`${act.kind} ${act.key} became ${found.event.type}`);
    else if (act.event !== undefined && act.event !== `ev_local_${found.event.sequence}`) {
      wrong.push(`${act.kind} ${act.key} was told ${act.event} and is event ${found.event.sequence}`);
    }
    const due = act.kind === 'refused' ? 'denied' : 'confirmed';
    if (act.state !== due) wrong.push(`${act.kind} ${act.key} ended as ${act.state}`);
  }
}

/** Each stored operation is on the chain once; none is called failed; nothing is on the chain that isn't stored. */
async function acceptedAndDone(
  database: pg.Client,
  byRequest: Map<string, OnChain[]>,
  wrong: string[],
): Promise<number> {
  const { rows } = await database.query<{ id: string; type: string; request_id: Buffer; phase: string }>(
    `SELECT id, type, request_id, phase FROM gateway.operation WHERE network = 'local'`,
  );
  const stored = new Set(rows.map((row) => toHex(row.request_id)));
  for (const row of rows) {
    const there = byRequest.has(toHex(row.request_id));
    if (!there) wrong.push(`operation ${row.id} (${row.type}, ${row.phase}) is not on the chain`);
    if (row.phase !== 'signed') wrong.push(`operation ${row.id} (${row.type}) is called ${row.phase}`);
  }
  for (const [request, [found]] of byRequest) {
    if (!stored.has(request) && request !== NOTHING)
      wrong.push(`request ${request} (${found?.event.type}) is on the chain and not stored`);
  }
  return rows.length;
}

/** One signer, nonces 0, 1, 2 …, each bound to one transaction, each with bytes of ours mined, as many as the chain counts. */
async function noncesWithoutGap(
  database: pg.Client,
  relayer: Buffer,
  mined: bigint,
  logs: ChainLog[],
  wrong: string[],
): Promise<number> {
  const { rows: signers } = await database.query<{ next_nonce: string; state: string; reason: string | null }>(
    `SELECT next_nonce, state, reason FROM gateway.signer WHERE network = 'local' AND address = $1`,
    [relayer],
  );
  const [signer] = signers;
  if (signer?.state !== 'active') wrong.push(`the signer is ${signer?.state}: ${signer?.reason}`);
  if (BigInt(signer?.next_nonce ?? -1) !== mined)
    wrong.push(`the signer's next nonce is ${signer?.next_nonce}; the chain has mined ${mined}`);
  const { rows } = await database.query<{ nonce: string; state: string; hashes: Buffer[] }>(
    `SELECT t.nonce, t.state, array_agg(a.hash) AS hashes
     FROM gateway.transaction t JOIN gateway.signer s ON s.id = t.signer_id AND s.network = 'local'
     JOIN gateway.attempt a ON a.transaction_id = t.id GROUP BY t.id ORDER BY t.nonce`,
  );
  const onChain = new Set(logs.map((log) => toHex(log.transactionHash)));
  for (const [index, row] of rows.entries()) {
    if (Number(row.nonce) !== index) wrong.push(`nonce ${row.nonce} stands where ${index} was due`);
    const hits = row.hashes.filter((hash) => onChain.has(toHex(hash))).length;
    if (hits !== 1) wrong.push(`nonce ${row.nonce} (${row.state}): ${hits} of its attempts are on the chain`);
  }
  if (rows.length !== Number(mined)) wrong.push(`${rows.length} transactions are stored; the chain has mined ${mined}`);
  return rows.length;
}

/** The mirror's rows are the chain's events, no more and no less, to the byte. */
async function mirrored(
  database: pg.Client,
  byRequest: Map<string, OnChain[]>,
  head: Buffer,
  wrong: string[],
): Promise<void> {
  const chain = [...byRequest.values()].flat().sort((x, y) => (x.event.sequence < y.event.sequence ? -1 : 1));
  const { rows } = await database.query(
    `SELECT sequence, type, request_id, block_number, block_hash, log_index, transaction_hash, topics, data
     FROM mirror.emr_event WHERE network = 'local' ORDER BY sequence`,
  );
  if (rows.length !== chain.length) wrong.push(`the mirror has ${rows.length} events, the chain ${chain.length}`);
  for (const [index, { event, log }] of chain.entries()) {
    const row = rows[index];
    const same =
      row !== undefined &&
      BigInt(row.sequence) === event.sequence &&
      row.type === event.type &&
      row.request_id.equals(event.requestId) &&
      BigInt(row.block_number) === log.blockNumber &&
      row.block_hash.equals(log.blockHash) &&
      row.log_index === log.logIndex &&
      row.transaction_hash.equals(log.transactionHash) &&
      row.topics.equals(Buffer.concat(log.topics)) &&
      row.data.equals(log.data);
    if (!same) wrong.push(`event ${event.sequence} (${event.type}) is otherwise in the mirror`);
  }
  const { rows: cursors } = await database.query(
    `SELECT sequence, head, stopped_reason FROM mirror.cursor WHERE network = 'local'`,
  );
  const [cursor] = cursors;
  if (Number(cursor?.sequence) !== chain.length || !cursor?.head.equals(head))
    wrong.push(`the mirror's head is another one than the chain's events fold to`);
  if (cursor?.stopped_reason) wrong.push(`the mirror stopped: ${cursor.stopped_reason}`);
  const { rows: taken } = await database.query(
    `SELECT (SELECT count(*) FROM mirror.orphaned_event WHERE network = 'local') AS orphans,
            (SELECT count(*) FROM mirror.reorganisation WHERE network = 'local') AS reorganisations`,
  );
  if (Number(taken[0].orphans) + Number(taken[0].reorganisations) > 0)
    wrong.push(`a one-signer chain was taken back: ${JSON.stringify(taken[0])}`);
}
