import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundle } from '../../chaos/client/bundle.builder.js';
import { expectStatus } from '../../chaos/client/user.js';
import { Dice } from '../../chaos/dice.js';
import { type E2eHospital, type E2eStack, startHospitals } from './hospitals.js';

/**
 * SIGKILL of gateways in the middle of a transfer: it goes on where it was, and each of its acts happens once. `TRANSFER_ROUNDS=N` adds N
 * transfers with three kills each, of gateways and at moments that the round's number chooses.
 */
const ROUNDS = Number(process.env.TRANSFER_ROUNDS ?? 0);

let e2e: E2eStack;
beforeAll(async () => {
  e2e = await startHospitals();
});
afterAll(() => e2e?.remove());

/** Kills a gateway; its supervisor starts it again. */
async function kill(hospital: E2eHospital): Promise<void> {
  const pid = hospital.gateway.pid();
  process.kill(pid, 'SIGKILL');
  for (const deadline = Date.now() + 30_000; hospital.gateway.pid() === pid && Date.now() < deadline; ) {
    await new Promise((wake) => setTimeout(wake, 20));
  }
  await hospital.gateway.ready(60_000);
}

type Trouble = (step: 'proposed' | 'received' | 'accepted') => Promise<unknown>;

async function transferUnder(name: string, trouble: Trouble): Promise<void> {
  const { a, b } = e2e;
  const [sender, receiver] = [a.user('clinician.a'), b.user('clinician.b')];
  const content = bundle({ id: name, kilobytes: 8 });
  const record = await sender.open(`transfer-${name}`, content);

  const proposed = await sender.post(`/v1/emrs/${record}/transfers`, { toHospital: 2, mode: 'copy' });
  const path = expectStatus(proposed, 201).headers.get('location') as string;
  await trouble('proposed');
  await receiver.until(path, ({ status, json }) => status === 200 && json.packageReceived);
  await trouble('received');
  expectStatus(await receiver.post(`${path}/acceptance`), 200);
  await trouble('accepted');

  const ended = ({ status, json }: { status: number; json: { step: string } }) =>
    status === 200 && json.step === 'done';
  const received = await receiver.until(path, ended);
  const sent = await sender.until(path, ended);
  expect([sent.json.state, received.json.state]).toEqual(['completed', 'completed']);
  expect((await sender.get(`/v1/emrs/${record}`)).json.frozenBy).toBeNull();
  const read = expectStatus(await receiver.look(received.json.receivedRecordId), 201);
  expect(read.bytes.equals(content)).toBe(true);

  const auditor = a.user('auditor.a');
  const trail = await auditor.get(`/v1/audit/events?recordId=${record}&limit=100`);
  const types = expectStatus(trail, 200).json.items.map(({ type }: { type: string }) => type);
  const once = ['RecordFrozen', 'TransferProposed', 'TransferAccepted', 'TransferCompleted', 'RecordUnfrozen'];
  for (const type of once) expect([type, types.filter((it: string) => it === type).length]).toEqual([type, 1]);
  expect(types).not.toContain('AccessDenied');
}

test('killed after the freeze, and both after the acceptance, a transfer ends with one copy and the record unfrozen', async () => {
  const { a, b } = e2e;
  await transferUnder('crash', async (step) => {
    if (step === 'proposed') await kill(a);
    if (step === 'accepted') await Promise.all([kill(a), kill(b)]);
  });
});

test.each(Array.from({ length: ROUNDS }, (_, round) => round + 1))(
  'killed at moments that round %i chooses',
  async (round) => {
    const { a, b } = e2e;
    const dice = new Dice(round);
    await transferUnder(`crash-${round}`, async () => {
      await new Promise((wake) => setTimeout(wake, dice.below(700)));
      await kill(dice.of([a, b]));
    });
  },
);
