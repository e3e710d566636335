import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tieProcessesToUs } from '../../deploy/geth/child-process.js';
import { expectStatus, type Hospital, type Hospitals, startHospitals } from '../hospitals/hospitals.js';
import { testGeth } from '../stack/chain.js';
import { startConsortium, type TestConsortium } from '../stack/consortium.js';

const geth = await testGeth();
tieProcessesToUs();
const admin = ['admin'];
let hospitals: Hospitals;
let consortium: TestConsortium;
let a: Hospital;
const patience = { timeout: 60_000, interval: 200 };

const ready = async () => ((await (await fetch(`${a.url}/health/ready`)).json()) as { status: string }).status;
const globalNode = async () => {
  const { body } = expectStatus(await a.call('admin.x', admin, 'GET', '/v1/admin/networks'), 200);
  return body.items.find(({ name }: { name: string }) => name === 'global').node;
};
const grows = async () => {
  const before = await consortium.height();
  await expect.poll(() => consortium.height(), patience).toBeGreaterThan(before + 1);
};
/** An act on the global ledger: this hospital's vote, here for suspending the other. Not waited for. @returns where its state is told */
const globalAct = async (what: string) => {
  const answer = await a.call('admin.x', admin, 'POST', `/v1/admin/hospitals/2/${what}`, undefined, {
    prefer: 'wait=0',
  });
  return expectStatus(answer, 202).headers.get('location') ?? '';
};
const stateOf = async (location: string) => (await a.call('admin.x', admin, 'GET', location)).body.state;

// A network of several signers needs geth.
describe.skipIf(!geth)('a global network of three signers', () => {
  beforeAll(async () => {
    hospitals = await startHospitals({
      global: async (founders) => {
        consortium = await startConsortium({ hospitals: founders, signers: 3, chainId: 720_050 });
        return consortium;
      },
    });
    a = hospitals.a;
    await a.register('clinician.x', ['clinician']);
  });
  afterAll(() => hospitals?.close());

  it('keeps sealing without one of them', async () => {
    await consortium.takeAway(3);
    await grows();
    const vote = await globalAct('suspension');
    await expect.poll(() => stateOf(vote), patience).toBe('confirmed');
    await expect.poll(ready, patience).toBe('ok');
  });

  it('stands still without two; the gateway says so, local acts go on, global ones wait, and all resumes when they return', async () => {
    await consortium.takeAway(2);
    await expect.poll(ready, patience).toBe('degraded');
    expect(await globalNode()).toMatchObject({ reachable: true, stalled: true, peers: 0 });
    const stood = await consortium.height();

    const recordId = await a.open('clinician.x', 'MRN-1', { resourceType: 'Bundle' });
    const look = { purpose: 'TREAT' };
    expectStatus(await a.call('clinician.x', ['clinician'], 'POST', `/v1/emrs/${recordId}/queries`, look), 201);
    const waiting = [await globalAct('reinstatement'), await globalAct('suspension'), await globalAct('reinstatement')];
    for (const location of waiting) expect(['accepted', 'signed', 'submitted']).toContain(await stateOf(location));
    expect(await consortium.height()).toBe(stood);

    await consortium.bringBack(2);
    await grows();
    await consortium.bringBack(3);
    for (const location of waiting) {
      await expect.poll(() => stateOf(location), patience).toMatch(/^(confirmed|denied)$/);
    }
    await expect.poll(ready, patience).toBe('ok');
    expect(await globalNode()).not.toHaveProperty('stalled');
    await expect.poll(async () => (await globalNode()).peers, patience).toBe(2);
  });
});
