import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Submission } from '../../../../libs/chain-client/src/submission/submission.js';
import { fromHex } from '../../../../libs/platform/src/bytes.js';
import { type TestGateway, testGateway } from '../../../../test/stack/gateway.js';
import { SUBMISSION } from '../core.tokens.js';

interface Operation {
  id: string;
  state: string;
  type: string;
  requestId: string;
  links: Record<string, string>;
}

let gateway: TestGateway;
let admin: string;
/** As the superuser: it stands for the indexer, and looks into the gateway's table too. */
let mirror: pg.Client;
let sequence = 0;

beforeAll(async () => {
  // Nobody signs here: acts stay accepted until the test decides them.
  gateway = await testGateway({ env: { WORKER: 'off' } });
  admin = await gateway.token('admin.a', ['admin']);
  mirror = new pg.Client({ connectionString: gateway.database.superuserUrl });
  await mirror.connect();
});
afterAll(async () => {
  await mirror?.end();
  await gateway?.close();
});

function ask(
  path: string,
  init: { body?: unknown; key?: string; prefer?: string; token?: string } = {},
): Promise<Response> {
  return fetch(gateway.url + path, {
    method: init.key === undefined ? 'GET' : 'POST',
    headers: {
      authorization: `Bearer ${init.token ?? admin}`,
      ...(init.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(init.key === undefined ? {} : { 'idempotency-key': init.key }),
      ...(init.prefer === undefined ? {} : { prefer: init.prefer }),
    },
    ...(init.body === undefined ? {} : { body: JSON.stringify(init.body) }),
  });
}

function register(
  subject: string,
  key: string = crypto.randomUUID(),
  more: { prefer?: string; token?: string } = {},
): Promise<Response> {
  const body = { issuer: 'https://issuer.test', subject, roles: ['clinician'] };
  return ask('/v1/admin/actors', { body, key, ...more });
}

async function operationOf(response: Response): Promise<Operation> {
  const body = (await response.json()) as Operation;
  expect({ status: response.status, body }).toMatchObject({ body: { id: expect.stringMatching(/^op_/) } });
  return body;
}

/** What worker and indexer would commit once the act is in a final block: its ride (unless `foreign`), its event, the cursor. */
async function decide(operation: Operation, decision: { denied?: number; foreign?: boolean } = {}): Promise<void> {
  sequence += 1;
  const block = '7';
  const blockHash = Buffer.alloc(32, 7);
  const transactionHash = Buffer.alloc(32, sequence);
  const one = async (sql: string, values: unknown[]) => (await mirror.query(sql, values)).rows[0];
  const { actor, code, ordinal } = await one('SELECT actor, code, ordinal FROM gateway.operation WHERE id = $1', [
    operation.id,
  ]);
  if (!decision.foreign) {
    const signer = await one(
      `INSERT INTO gateway.signer (network, address) VALUES ('local', $1) ON CONFLICT (network, address) DO UPDATE SET fence = 1 RETURNING id`,
      [Buffer.alloc(20, 9)],
    );
    const transaction = await one('INSERT INTO gateway.transaction (signer_id, nonce) VALUES ($1, $2) RETURNING id', [
      signer.id,
      sequence,
    ]);
    await mirror.query('INSERT INTO gateway.transaction_operation VALUES ($1, 0, $2)', [transaction.id, ordinal]);
    await mirror.query(
      `INSERT INTO gateway.attempt (transaction_id, number, kind, raw, hash, gas_price) VALUES ($1, 1, 'first', '', $2, 0)`,
      [transaction.id, transactionHash],
    );
  }
  await mirror.query(
    `INSERT INTO mirror.emr_event (network, sequence, block_number, block_hash, block_time, log_index, transaction_hash, transaction_index,
       type, record_id, record_sequence, hospital, actor, request_id, operation, outcome, topics, data)
     VALUES ('local', $1::int, $2, $3, 0, $1::int, $4, 0, $5, $6, 0, 1, $7, $8, $9, $10, '', '')`,
    [
      sequence,
      block,
      blockHash,
      transactionHash,
      decision.denied === undefined ? 'ActorRegistered' : 'AccessDenied',
      Buffer.alloc(32),
      actor,
      fromHex(operation.requestId),
      code,
      decision.denied ?? 0,
    ],
  );
  await mirror.query(
    `INSERT INTO mirror.cursor (network, number, hash, final_number, sequence, head, epoch) VALUES ('local', $1, $2, $1, $3, $2, 1)
     ON CONFLICT (network) DO UPDATE SET sequence = $3`,
    [block, blockHash, sequence],
  );
  const commit = { network: 'local', number: block, finalNumber: block, sequence: String(sequence) };
  await mirror.query("SELECT pg_notify('mirror_commit', $1)", [JSON.stringify(commit)]);
}

describe('an act', () => {
  it('is accepted with 202, a Location, and the operation', async () => {
    const response = await register('one');
    expect(response.status).toBe(202);
    expect(response.headers.get('retry-after')).toBe('1');
    const operation = await operationOf(response);
    expect(operation).toMatchObject({ type: 'register-actor', state: 'accepted' });
    expect(response.headers.get('location')).toBe(`/v1/operations/${operation.id}`);
    expect(await (await ask(operation.links.self!)).json()).toMatchObject({ id: operation.id, state: 'accepted' });
  });

  it('asked for again with the same key is the same operation; with another body it is refused', async () => {
    const first = await operationOf(await register('two', 'key-two'));
    const again = await Promise.all([register('two', 'key-two'), register('two', 'key-two')]);
    for (const response of again) expect((await operationOf(response)).id).toBe(first.id);
    const other = await register('another', 'key-two');
    expect(other.status).toBe(422);
    expect(await other.json()).toMatchObject({ code: 'IDEMPOTENCY_MISMATCH' });
  });

  it('asked for with the same key by somebody else is another operation', async () => {
    const first = await operationOf(await register('three', 'key-three'));
    const token = await gateway.token('admin.b', ['admin']);
    expect((await operationOf(await register('three', 'key-three', { token }))).id).not.toBe(first.id);
  });

  it('sent twice at the same moment is stored once', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => register('four', 'key-four')));
    const ids = await Promise.all(answers.map(async (answer) => (await operationOf(answer)).id));
    expect(new Set(ids).size).toBe(1);
  });

  it('is not ended by an event that bytes of before a lost database caused', async () => {
    const other = await operationOf(await register('other', 'key-other'));
    await register('foreign', 'key-foreign');
    const waiting = register('foreign', 'key-foreign', { prefer: 'wait=2' });
    // From the second commit on that finds somebody waiting, events are read as they come.
    await sleep(300);
    await decide(other);
    await sleep(300);
    await decide(await operationOf(await register('foreign', 'key-foreign')), { foreign: true });
    expect((await waiting).status).toBe(202);
  });

  it('that is waited for ends with 201 once it is final', async () => {
    const accepted = await operationOf(await register('five', 'key-five'));
    const waiting = register('five', 'key-five', { prefer: 'wait=20' });
    await decide(accepted);
    const response = await waiting;
    expect(response.status).toBe(201);
    expect(response.headers.get('location')).toMatch(/^\/v1\/admin\/actors\/0x[0-9a-f]{40}$/);
    expect(response.headers.get('preference-applied')).toBe('wait=20');
    expect(await operationOf(response)).toMatchObject({
      state: 'confirmed',
      event: expect.stringMatching(/^ev_local_/),
      outcome: { code: 'OK' },
    });
  });

  it('that isn’t final in time is answered with 202', async () => {
    const response = await register('six', 'key-six', { prefer: 'wait=1' });
    expect(response.status).toBe(202);
  });

  it('the ledger refused is 403, with the reason and the operation', async () => {
    const accepted = await operationOf(await register('seven', 'key-seven'));
    await decide(accepted, { denied: 30 });
    const response = await register('seven', 'key-seven', { prefer: 'wait=20' });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({
      code: 'DENIED_BY_LEDGER',
      reason: 'NOT_REGISTRAR',
      operation: { id: accepted.id, state: 'denied' },
    });
  });

  it('can be withdrawn while it isn’t signed, and then says so', async () => {
    const accepted = await operationOf(await register('eight', 'key-eight'));
    const cancelled = await ask(`/v1/operations/${accepted.id}/cancellation`, { key: 'unused' });
    expect(cancelled.status).toBe(200);
    expect(await operationOf(cancelled)).toMatchObject({ state: 'cancelled' });
    const again = await register('eight', 'key-eight');
    expect(again.status).toBe(409);
    expect(await again.json()).toMatchObject({ code: 'OPERATION_FAILED', operation: { state: 'cancelled' } });
  });

  it('of somebody else can be withdrawn by an administrator, and who did it stands in the access log', async () => {
    const accepted = await operationOf(await register('withdrawn'));
    const token = await gateway.token('admin.other', ['admin']);
    const path = `/v1/operations/${accepted.id}/cancellation`;
    expect((await ask(path, { key: 'unused', token })).status).toBe(200);
    expect((await ask(path, { key: 'unused' })).status).toBe(200);
    const { rows } = await mirror.query(
      `SELECT l.request_id, l.detail, l.principal = o.principal AS own FROM gateway.access_log l
       JOIN gateway.operation o ON o.request_id = l.request_id WHERE l.kind = 'operation-cancellation' AND o.id = $1 ORDER BY l.id`,
      [accepted.id],
    );
    expect(rows).toMatchObject([
      { own: false, detail: { operation: accepted.id, own: false } },
      { own: true, detail: { operation: accepted.id, own: true } },
    ]);
  });
});

describe('an operation', () => {
  it('is seen by who asked, administrators and auditors, and by nobody else', async () => {
    const accepted = await operationOf(await register('nine'));
    const statusFor = async (subject: string, role: string) =>
      (await ask(`/v1/operations/${accepted.id}`, { token: await gateway.token(subject, [role]) })).status;
    expect(await statusFor('clinician.a', 'clinician')).toBe(404);
    expect(await statusFor('auditor.a', 'auditor')).toBe(200);
    const own = await ask('/v1/operations', { token: await gateway.token('clinician.a', ['clinician']) });
    expect(await own.json()).toEqual({ items: [], nextCursor: null });
    const stop = await ask(`/v1/operations/${accepted.id}/cancellation`, {
      key: 'x',
      token: await gateway.token('auditor.a', ['auditor']),
    });
    expect(stop.status).toBe(403);
  });

  it('is listed, newest first, in pages that follow each other', async () => {
    const seen: string[] = [];
    let path: string | null = '/v1/operations?limit=3';
    while (path) {
      const response: Response = await ask(path);
      const page = (await response.json()) as { items: Operation[]; nextCursor: string | null };
      seen.push(...page.items.map(({ id }) => id));
      path = /<([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1] ?? null;
      expect(path === null).toBe(page.nextCursor === null);
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect([...seen].sort().reverse()).toEqual(seen);
    expect(seen.length).toBeGreaterThanOrEqual(8);
  });

  it('streams its states until the last one', async () => {
    const accepted = await operationOf(await register('ten'));
    const response = await ask(`/v1/operations/${accepted.id}/stream`);
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const decided = new Promise((wake) => setTimeout(wake, 50)).then(() => decide(accepted));
    const events = [...(await response.text()).matchAll(/^data: (.*)$/gm)].map(
      (match) => (JSON.parse(match[1]!) as Operation).state,
    );
    expect(events).toEqual(['accepted', 'confirmed']);
    await decided;
  });
});

describe('a full queue', () => {
  it('refuses acts, and only acts, before it looks at them while more are held than a second carries', async () => {
    const submission = gateway.app.get<Submission>(SUBMISSION);
    const crowded = vi.spyOn(submission, 'crowded').mockReturnValue(true);
    try {
      // Without a token: nothing is looked at.
      const refused = await fetch(`${gateway.url}/v1/admin/actors`, {
        method: 'POST',
        headers: { 'idempotency-key': 'k' },
      });
      expect(refused.status).toBe(503);
      expect(refused.headers.get('retry-after')).toBe('1');
      expect(await refused.json()).toMatchObject({ code: 'QUEUE_FULL' });
      expect(refused.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
      expect(refused.headers.get('x-content-type-options')).toBe('nosniff');
      expect((await fetch(`${gateway.url}/v1/operations`)).status).toBe(401);
      expect((await fetch(`${gateway.url}/v1/auth/token`, { method: 'POST' })).status).not.toBe(503);
    } finally {
      crowded.mockRestore();
    }
  });

  it('refuses new acts before anything is stored, and still knows the old ones', async () => {
    const small = await testGateway({ env: { QUEUE_DEPTH_LIMIT: '2', WORKER: 'off' } });
    try {
      const token = await small.token('admin.a', ['admin']);
      const act = (subject: string) =>
        fetch(`${small.url}/v1/admin/actors`, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'idempotency-key': subject },
          body: JSON.stringify({ issuer: 'https://issuer.test', subject, roles: ['clinician'] }),
        });
      expect([(await act('a')).status, (await act('b')).status]).toEqual([202, 202]);
      const refused = await act('c');
      expect(refused.status).toBe(503);
      expect(refused.headers.get('retry-after')).toBe('2');
      expect(await refused.json()).toMatchObject({ code: 'QUEUE_FULL' });
      expect((await act('a')).status).toBe(202);
    } finally {
      await small.close();
    }
  });
});
