import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ipcCall } from '../../../../deploy/geth/ipc.js';
import {
  type Answer,
  expectStatus,
  type Hospital,
  type Hospitals,
  startHospitals,
} from '../../../../test/hospitals/hospitals.js';
import { testGeth } from '../../../../test/stack/chain.js';
import { eventually } from '../../../../test/submission/harness.js';

const geth = await testGeth();

describe.skipIf(!geth)('signers, as an operator has them', () => {
  let hospitals: Hospitals;
  let hospital: Hospital;
  let signer: number;
  let subjects = 0;

  beforeAll(async () => {
    hospitals = await startHospitals({ single: true, funded: true });
    hospital = hospitals.a;
    const { items } = (await admin('GET', '/v1/admin/signers')).body;
    signer = items[0].id;
  });
  afterAll(() => hospitals?.close());

  const admin = (method: string, path: string, body?: unknown, headers?: object) =>
    hospital.call('admin.o', ['admin'], method, path, body, headers);
  const seal = (on: boolean) => ipcCall(hospitals.ledgers[0]!, on ? 'miner_start' : 'miner_stop');
  const actions = async (query = ''): Promise<Record<string, unknown>[]> =>
    expectStatus(await hospital.call('auditor.o', ['auditor'], 'GET', `/v1/admin/signers/actions${query}`), 200).body
      .items;
  const operation = async (id: string) => expectStatus(await admin('GET', `/v1/operations/${id}`), 200).body;

  /** An act whose transaction lies in the pool of a node that seals nothing. */
  async function stuck(): Promise<{ id: string; nonce: string }> {
    await seal(false);
    const registration = { issuer: 'https://issuer.test/', subject: `subject-${++subjects}`, roles: ['clinician'] };
    const { id } = expectStatus(await admin('POST', '/v1/admin/actors', registration, { prefer: 'wait=0' }), 202).body;
    const nonce = await eventually('it is with the node', async () => {
      const { items } = expectStatus(await admin('GET', `/v1/admin/signers/${signer}/transactions`), 200).body;
      const one = items.find(({ operations }: { operations: { id: string }[] }) => operations.some((o) => o.id === id));
      return one?.state === 'submitted' && one.nonce;
    });
    return { id, nonce };
  }

  it('pauses and resumes, also what is so already, and records each', async () => {
    const states: string[] = [];
    for (const step of ['pause', 'pause', 'resumption', 'resumption']) {
      states.push(expectStatus(await admin('POST', `/v1/admin/signers/${signer}/${step}`), 200).body.state);
    }
    expect(states).toEqual(['paused', 'paused', 'active', 'active']);
    expect((await actions()).map(({ action, outcome }) => [action, outcome])).toEqual([
      ['resumption', 'unchanged'],
      ['resumption', 'done'],
      ['pause', 'unchanged'],
      ['pause', 'done'],
    ]);
    expectStatus(await admin('POST', '/v1/admin/signers/2000/pause'), 404);
  });

  it("makes the write path's own pause the administrator's, which no sweep ends", async () => {
    const row = async () => (await asOwner('SELECT state, reason FROM gateway.signer WHERE id = $1', [signer]))[0];
    await asOwner(`UPDATE gateway.signer SET state = 'paused', reason = 'RELAYER_INACTIVE' WHERE id = $1`, [signer]);
    expectStatus(await admin('POST', `/v1/admin/signers/${signer}/pause`), 200);
    expect(await row()).toEqual({ state: 'paused', reason: 'PAUSED_BY_ADMIN' });
    expectStatus(await admin('POST', `/v1/admin/signers/${signer}/resumption`), 200);
    expect(await row()).toEqual({ state: 'active', reason: null });
  });

  it('a NOOP that is mined cancels the act; what was asked and what came of it can be read', async () => {
    const { id, nonce } = await stuck();
    const at = `/v1/admin/signers/${signer}/transactions/${nonce}`;
    const late = expectStatus(await admin('POST', `/v1/operations/${id}/cancellation`), 409);
    expect(late.body).toMatchObject({ code: 'CONFLICT', operation: { id, state: 'submitted' } });
    expect(late.body.detail).toContain('/noop');

    const strange = { reason: 'WITHDRAWAL', withdraw: [`op_${'0'.repeat(32)}`] };
    expect(expectStatus(await admin('POST', `${at}/noop`, strange), 409).body.reason).toBe('NOT_RIDING');
    const asked = { reason: 'WITHDRAWAL', ticket: 'INC-2041', withdraw: [id] };
    const made = expectStatus(await admin('POST', `${at}/noop`, asked), 200).body;
    expect(made).toMatchObject({ nonce, state: 'submitted', operations: [{ id, withdrawn: true }] });
    expect(made.attempts.map(({ kind, gasPrice }: Record<string, string>) => [kind, gasPrice])).toEqual([
      ['first', '0'],
      ['noop', '1'],
    ]);
    expectStatus(await admin('POST', `${at}/noop`, { reason: 'STUCK' }), 200);
    expect(expectStatus(await admin('POST', `${at}/bump`, { reason: 'STUCK' }), 409).body.reason).toBe('NOOP_IS_OUT');

    await seal(true);
    await eventually('the act is cancelled', async () => (await operation(id)).state === 'cancelled');
    const after = expectStatus(await admin('GET', at), 200).body;
    expect(after).toMatchObject({ state: 'noop', attempts: [{}, { kind: 'noop', block: expect.any(String) }] });
    expect(after.attempts[0].block).toBeUndefined();
    expect(expectStatus(await admin('POST', `${at}/noop`, { reason: 'STUCK' }), 409).body.reason).toBe('ALREADY_MINED');
    expectStatus(await admin('GET', `/v1/admin/signers/${signer}/transactions/99999`), 404);
    expectStatus(await admin('POST', `/v1/admin/signers/${signer}/transactions/99999/noop`, { reason: 'STUCK' }), 404);

    const rows = await actions(`?signer=${signer}&limit=6`);
    expect(
      rows.map(({ action, outcome, reason, detail }) => [
        action,
        outcome,
        reason,
        (detail as { refusal?: string }).refusal,
      ]),
    ).toEqual([
      ['noop', 'refused', 'STUCK', 'UNKNOWN_NONCE'],
      ['noop', 'refused', 'STUCK', 'ALREADY_MINED'],
      ['bump', 'refused', 'STUCK', 'NOOP_IS_OUT'],
      ['noop', 'unchanged', 'STUCK', undefined],
      ['noop', 'done', 'WITHDRAWAL', undefined],
      ['noop', 'refused', 'WITHDRAWAL', 'NOT_RIDING'],
    ]);
    expect(rows[4]).toMatchObject({
      ...{ signer, nonce, ticket: 'INC-2041', network: 'shared', by: { principal: expect.stringMatching(/^0x/) } },
      detail: { hash: after.attempts[1].hash, gasPrice: '1', withdrawn: [id] },
    });
  });

  it('shows in /metrics what waits, what is stuck, and how the node sees the signer', async () => {
    const of = async (name: string) => {
      const line = (await hospital.metrics()).split('\n').find((one) => one.startsWith(`${name} `));
      return line === undefined ? undefined : Number(line.split(' ')[1]);
    };
    const bySigner = `{network="shared",signer="${signer}"}`;
    const confirmed = 'emr_acts_final_total{network="shared",outcome="confirmed"}';
    const before = await of(confirmed);
    const cancelled = await of('emr_acts_without_effect{network="shared",state="cancelled"}');
    expect(cancelled).toBe(1);
    const { id } = await stuck();
    await eventually('it is old', async () => ((await of('emr_oldest_unmined_seconds{network="shared"}')) ?? 0) > 0.5);
    expect(await of(`emr_signer_unmined_nonces${bySigner}`)).toBe(1);
    expect(await of(`emr_signer_nonce_gap${bySigner}`)).toBe(0);
    expect(await of(`emr_signer_balance_wei${bySigner}`)).toBeGreaterThan(9e17);
    expect(await of('emr_mirror_lag_blocks{network="shared"}')).toBe(0);
    expect(await of('emr_node_reachable{network="shared"}')).toBe(1);
    await asOwner(
      `UPDATE gateway.signer SET state = 'quarantined', reason = 'TEST', next_nonce = next_nonce + 2 WHERE id = $1`,
      [signer],
    );
    await eventually('a gap', async () => (await of(`emr_signer_nonce_gap${bySigner}`)) === 2);
    expect(await of('emr_signers{network="shared",state="quarantined"}')).toBe(1);
    const registration = { issuer: 'https://issuer.test/', subject: 'waits', roles: ['clinician'] };
    const late = expectStatus(await admin('POST', '/v1/admin/actors', registration, { prefer: 'wait=0' }), 202).body;
    await eventually('an age', async () => ((await of('emr_oldest_waiting_seconds{network="shared"}')) ?? 0) > 0.5);
    await asOwner(
      `UPDATE gateway.signer SET state = 'active', reason = NULL, next_nonce = next_nonce - 2 WHERE id = $1`,
      [signer],
    );
    await seal(true);
    for (const one of [id, late.id]) {
      await eventually('it is confirmed', async () => (await operation(one)).state === 'confirmed');
    }
    await eventually('both are counted', async () => (await of(confirmed)) === before! + 2);
    await eventually('nothing is left', async () => (await of('emr_oldest_unmined_seconds{network="shared"}')) === 0);
    expect(await of('emr_oldest_waiting_seconds{network="shared"}')).toBe(0);
  });

  it('a bump is mined in place of what it outbids', async () => {
    const { id, nonce } = await stuck();
    const at = `/v1/admin/signers/${signer}/transactions/${nonce}`;
    const bumped = expectStatus(await admin('POST', `${at}/bump`, { reason: 'UNDERPRICED', gasPrice: '7' }), 200).body;
    await seal(true);
    await eventually('the act is confirmed', async () => (await operation(id)).state === 'confirmed');
    expect((await operation(id)).transaction.hash).toBe(bumped.attempts[1].hash);
    expect(expectStatus(await admin('GET', at), 200).body.attempts[1].block).toBeDefined();
  });

  it('releases a quarantined signer with a reason, once', async () => {
    const at = `/v1/admin/signers/${signer}`;
    const why = { reason: 'SECOND_INSTANCE_STOPPED', ticket: 'INC-7' };
    expect(expectStatus(await admin('POST', `${at}/release`, why), 409).body.reason).toBe('NOT_QUARANTINED');
    await asOwner(`UPDATE gateway.signer SET state = 'quarantined', reason = 'FOREIGN_NONCE 3' WHERE id = $1`, [
      signer,
    ]);
    expect(expectStatus(await admin('POST', `${at}/pause`), 409).body.detail).toContain('FOREIGN_NONCE 3');
    expect(expectStatus(await admin('POST', `${at}/release`, why), 200).body).toMatchObject({ state: 'active' });
    expectStatus(await admin('POST', '/v1/admin/signers/2000/release', why), 404);
    const [released, paused] = await actions('?limit=2');
    expect(released).toMatchObject({
      action: 'release',
      outcome: 'done',
      ...why,
      detail: { quarantine: 'FOREIGN_NONCE 3', lost: 0 },
    });
    expect(paused).toMatchObject({ action: 'pause', outcome: 'refused' });
    await hospital.register('still.works', ['clinician']);
  });

  it('is for administrators; auditors may look', async () => {
    const at = `/v1/admin/signers/${signer}`;
    const statuses = async (role: string) => {
      const ask = async (method: string, path: string, body?: unknown): Promise<Answer> =>
        hospital.call('x', [role], method, path, body);
      return [
        (await ask('GET', `${at}/transactions`)).status,
        (await ask('GET', '/v1/admin/signers/actions')).status,
        (await ask('POST', `${at}/release`, { reason: 'DRILL' })).status,
        (await ask('POST', `${at}/transactions/1/noop`, { reason: 'DRILL' })).status,
        (await ask('POST', `${at}/transactions/1/bump`, { reason: 'DRILL' })).status,
      ];
    };
    expect(await statuses('auditor')).toEqual([200, 200, 403, 403, 403]);
    expect(await statuses('clinician')).toEqual([403, 403, 403, 403, 403]);
  });

  it.each([
    ['no reason', {}],
    ['a reason of its own', { reason: 'Mrs Miller asked for it' }],
    ['a sentence for a ticket', { reason: 'DRILL', ticket: 'Miller' }],
    ['a note', { reason: 'DRILL', note: 'x' }],
  ])('takes no free text: %s', async (_what, body) => {
    expectStatus(await admin('POST', `/v1/admin/signers/${signer}/release`, body), 400);
    expectStatus(await admin('POST', `/v1/admin/signers/${signer}/transactions/1/noop`, body), 400);
  });

  it('keeps its record from being changed, page by page', async () => {
    const client = new pg.Client({ connectionString: hospital.database.gatewayUrl });
    await client.connect();
    try {
      await expect(client.query('UPDATE gateway.operator_action SET reason = NULL')).rejects.toThrow(
        /permission denied/,
      );
      await expect(client.query('DELETE FROM gateway.operator_action')).rejects.toThrow(/permission denied/);
      await expect(client.query('TRUNCATE gateway.operator_action')).rejects.toThrow(/permission denied/);
    } finally {
      await client.end();
    }
    const all = (await actions('?limit=200')).map(({ id }) => id);
    const paged: unknown[] = [];
    for (let cursor = ''; ; ) {
      const { body } = expectStatus(await admin('GET', `/v1/admin/signers/actions?limit=3${cursor}`), 200);
      paged.push(...body.items.map(({ id }: { id: string }) => id));
      if (body.nextCursor === null) break;
      cursor = `&cursor=${body.nextCursor}`;
    }
    expect(paged).toEqual(all);
  });

  async function asOwner(sql: string, values: unknown[]): Promise<unknown[]> {
    const client = new pg.Client({ connectionString: hospital.database.superuserUrl });
    await client.connect();
    return client
      .query(sql, values)
      .then(({ rows }) => rows)
      .finally(() => client.end());
  }
});
