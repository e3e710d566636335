import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundle } from '../../chaos/client/bundle.builder.js';
import { relayerKey } from '../../chaos/client/ledger.js';
import { drain, type Load, offerLoad } from '../../chaos/client/load.js';
import { expectStatus } from '../../chaos/client/user.js';
import { Dice } from '../../chaos/dice.js';
import { type Facts, readFacts } from '../../chaos/oracle/facts.js';
import { judge } from '../../chaos/oracle/judge.js';
import { addressOf } from '../../libs/chain-client/src/keys/secp256k1.js';
import { anchorKills, brokenAnchors, type KilledAnchor } from './crash/anchors.js';
import { type Kill, killAtRandom, targets } from './crash/kills.js';
import { type E2eStack, startHospitals } from './hospitals.js';

/**
 * SIGKILL of gateway, indexer, Postgres and the sealing node at random moments under load: no act lost, none doubled, nothing
 * confirmed taken back. The kills follow from a seed; what they hit does not, so a red run is worth its state folder.
 */
const SEED = Number(process.env.EMR_CRASH_SEED ?? 20_260_101);
const ROUNDS = Number(process.env.EMR_CRASH_ROUNDS ?? 3);
const CLIENTS = 8;
const CANARY = 'Zaunkoenigin';

let e2e: E2eStack;
let kills: Kill[];
let anchors: KilledAnchor[];
let load: Load;
let facts: Facts;

beforeAll(async () => {
  e2e = await startHospitals({ gatewayEnv: { ANCHOR_SECONDS: '1' } });
  const clinician = e2e.a.user('clinician.a');
  const records = new Map<string, Buffer>();
  for (const name of ['one', 'two', 'three', 'four']) {
    const bytes = bundle({ id: name, family: CANARY, kilobytes: 8 });
    records.set(await clinician.open(`crash-${name}`, bytes), bytes);
  }
  const stopping = new AbortController();
  const offered = offerLoad({
    ...{
      user: (name: string) => e2e.a.user(name),
      records,
      clients: CLIENTS,
      seed: SEED,
      canary: CANARY,
      stop: stopping.signal,
    },
  });
  offered.catch(() => undefined); // awaited below
  try {
    kills = await killAtRandom(e2e, new Dice(SEED), ROUNDS);
    await Promise.all([e2e.a.gateway.ready(90_000), e2e.a.indexer.ready(90_000)]);
  } finally {
    stopping.abort();
  }
  load = await offered;
  await drain(load, (name) => e2e.a.user(name), 60_000);
  anchors = await anchorKills(e2e, [...records.keys()][0]!, 2);
  const relayer = addressOf(await relayerKey(e2e.a, 'local'));
  facts = await readFacts({ networksFile: e2e.a.networksFile, ownerUrl: e2e.a.database.ownerUrl, relayer });
  const { events, operations, transactions } = facts;
  console.info(
    `seed ${SEED}: ${kills.length} kills, ${load.acts.length} acts; on the chain ${events.length} events in ${transactions.length} transactions for ${operations.length} operations; answers ${JSON.stringify(load.counts)}`,
  );
}, 420_000);
afterAll(() => e2e?.remove());

test('everything was killed, and acts were carried all the while', () => {
  for (const target of targets) expect(kills.filter((kill) => kill.target === target).length).toBe(ROUNDS);
  expect(load.acts.filter(({ tries }) => tries > 1).length).toBeGreaterThan(5);
  expect(load.acts.length).toBeGreaterThan(100);
});

test('every key got its answer, and no answer was unheard of or contradicted another', () => {
  expect([...load.wrong, ...load.unanswered]).toEqual([]);
  expect(load.acts.filter(({ requestId }) => requestId === undefined)).toEqual([]);
});

test('each accepted act has one effect, nonces have no gap, what was told is true, the mirror is the chain', () => {
  expect(judge(facts, load.acts)).toEqual([]);
});

test('an anchor whose gateway is killed between its submission and its finality is there once, and the others fold the events behind each', async () => {
  expect(anchors.map(({ before, after }) => ({ before, after }))).toEqual(anchors.map(() => ({ before: 0, after: 1 })));
  // The looks before are anchored too, a moment later.
  const none = { broken: 0, refused: 0, notices: 0, lost: 0 };
  await expect.poll(() => brokenAnchors(e2e.a), { timeout: 30_000 }).toEqual({ anchors: expect.any(Number), ...none });
  const { id } = e2e.a.layout;
  const seen = await e2e.b.user('auditor.b').until('/v1/audit/integrity', ({ json }) => {
    const ledger = json.hospitals.find(({ hospital }: { hospital: number }) => hospital === id);
    return (
      ledger?.verifiedThrough !== null && Number(ledger?.lastAnchor.accessSequence) > 0 && ledger.state === 'verified'
    );
  });
  expect(seen.json.hospitals.flatMap(({ incidents }: { incidents: unknown[] }) => incidents)).toEqual([]);
});

test('the audit is whole, and every record gives back its bytes', async () => {
  const { json } = expectStatus(await e2e.a.user('auditor.a').get('/v1/audit/integrity'), 200);
  for (const network of json.networks) expect(network).toMatchObject({ gaps: [], stopped: null });
  const clinician = e2e.a.user('clinician.a');
  for (const [recordId, bytes] of load.opened) {
    expect(expectStatus(await clinician.look(recordId), 201).bytes.equals(bytes)).toBe(true);
  }
});

test('what the programs wrote down while they were killed names nobody', async () => {
  const { logs, nodes } = e2e.a.layout;
  const files = (await readdir(logs)).map((name) => join(logs, name));
  files.push(join(nodes.local, 'geth.log'), join(e2e.stack.layout.postgres.dir, 'postgres.log'));
  let read = 0;
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    read += 1;
    expect([file, text.includes(CANARY), text.includes('urn:e2e:mrn')]).toEqual([file, false, false]);
  }
  expect(read).toBeGreaterThanOrEqual(3);
});
