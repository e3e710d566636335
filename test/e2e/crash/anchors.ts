import pg from 'pg';
import type { E2eHospital, E2eStack } from '../hospitals.js';

/** An anchor of hospital A that was on its way when A's gateway was killed. */
export interface KilledAnchor {
  requestId: string;
  /** Its events at that moment, and at last. */
  before: number;
  after: number;
}

/** Operations that anchor, and their final events. */
const ANCHORS = `SELECT encode(o.request_id, 'hex') AS id, (
    SELECT count(*)::int FROM mirror.emr_event e JOIN mirror.cursor c ON c.network = e.network AND e.block_number <= c.final_number
    WHERE e.network = o.network AND e.request_id = o.request_id) AS events
  FROM gateway.operation o WHERE o.network = 'global' AND o.type = 'anchor-ledger'`;

/** Has clinician A look at `record` until an anchor is on its way, and kills A's gateway then: `times` times. */
export async function anchorKills({ a }: E2eStack, record: string, times: number): Promise<KilledAnchor[]> {
  return using(a, async (rows) => {
    const killed: KilledAnchor[] = [];
    const open = async () => rows<{ id: string }>(`SELECT id FROM (${ANCHORS}) o WHERE events = 0`);
    const all = async () => rows<{ id: string }>(`SELECT id FROM (${ANCHORS}) o`);
    while (killed.length < times) {
      // One that was just submitted: it takes seconds until it is final.
      const known = new Set((await all()).map(({ id }) => id));
      await a.user('clinician.a').look(record);
      const fresh = async () => (await all()).filter(({ id }) => !known.has(id));
      const [anchor] = await soon(fresh, (found) => found.length > 0);
      process.kill(a.gateway.pid(), 'SIGKILL');
      const [then] = await rows<{ events: number }>(`SELECT events FROM (${ANCHORS}) o WHERE id = '${anchor!.id}'`);
      killed.push({ requestId: anchor!.id, before: then!.events, after: -1 });
      await a.gateway.ready(90_000);
    }
    await soon(open, (found) => found.length === 0);
    for (const one of killed) {
      const [now] = await rows<{ events: number }>(`SELECT events FROM (${ANCHORS}) o WHERE id = '${one.requestId}'`);
      one.after = now!.events;
    }
    return killed;
  });
}

/** Of hospital A's anchors: those that don't begin where the one before ended, those the ledger refused, repeats, and operations without an event. */
export async function brokenAnchors(a: E2eHospital): Promise<Record<string, number>> {
  return using(a, async (rows) => {
    const [counts] = await rows<Record<string, number>>(
      `WITH line AS (
         SELECT *, lag(local_sequence, 1, 0::bigint) OVER w AS sequence_before, lag(local_head, 1, decode(repeat('00', 32), 'hex')) OVER w AS head_before
         FROM mirror.anchor WHERE hospital = ${a.layout.id} WINDOW w AS (ORDER BY sequence))
       SELECT (SELECT count(*)::int FROM line) AS anchors,
         (SELECT count(*)::int FROM line WHERE previous_sequence <> sequence_before OR previous_head <> head_before) AS broken,
         (SELECT count(*)::int FROM mirror.emr_event WHERE network = 'global' AND operation = 61 AND outcome <> 0) AS refused,
         (SELECT count(*)::int FROM mirror.notice WHERE network = 'global') AS notices,
         (SELECT count(*)::int FROM (${ANCHORS}) o WHERE events <> 1) AS lost`,
    );
    return counts!;
  });
}

type Rows = <T>(text: string) => Promise<T[]>;

async function using<T>({ database }: E2eHospital, work: (rows: Rows) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: database.ownerUrl });
  await client.connect();
  try {
    return await work(async (text) => (await client.query(text)).rows);
  } finally {
    await client.end();
  }
}

async function soon<T>(read: () => Promise<T>, enough: (value: T) => boolean): Promise<T> {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; ) {
    const value = await read();
    if (enough(value)) return value;
    await new Promise((wake) => setTimeout(wake, 20));
  }
  throw new Error('no anchor came, or not to its end, within a minute');
}
