import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const { createWorkloadModule } = createRequire(import.meta.url)('./prepared.cjs');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'emr-workload-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** As Caliper's TxStatus answers. */
const status = (committed: boolean, result: object | null = null, errors: string[] = []) => ({
  IsCommitted: () => committed,
  GetResult: () => result,
  GetErrMsg: () => errors,
});

async function samplesOf(answers: object[]) {
  const files = { requests: join(folder, 'requests.json'), samples: join(folder, 'samples.ndjson') };
  writeFileSync(files.requests, JSON.stringify(answers.map((_, index) => ({ index }))));
  const sent: { index: number }[] = [];
  const workload = createWorkloadModule();
  await workload.initializeWorkloadModule(0, 1, 0, files, {
    sendRequests: async (request: { index: number }) => {
      sent.push(request);
      return answers[request.index];
    },
  });
  for (const _ of answers) await workload.submitTransaction();
  const lines = readFileSync(files.samples, 'utf8').trimEnd().split('\n');
  return { sent, samples: lines.map((line) => JSON.parse(line)) };
}

describe('the workload', () => {
  it('sends what was prepared, in order, and notes of each when it was sent and how long it took', async () => {
    const before = Date.now();
    const { sent, samples } = await samplesOf([
      status(true),
      status(true, { transactionHash: '0x1', events: { Head: {} } }),
    ]);
    expect(sent.map(({ index }) => index)).toEqual([0, 1]);
    for (const sample of samples) {
      expect(sample).toEqual({ at: expect.any(Number), ms: expect.any(Number), ok: true });
      expect(sample.at).toBeGreaterThanOrEqual(before);
      expect(sample.ms).toBeGreaterThanOrEqual(0);
    }
  });

  it.each(['AccessDenied', 'BadSignature', 'Duplicate', 'Mismatch'])(
    'takes a transaction with %s in it for a failure, though it was mined',
    async (event) => {
      const { samples } = await samplesOf([status(true, { events: { Head: {}, [event]: {} } })]);
      expect(samples).toEqual([expect.objectContaining({ ok: false, why: event })]);
    },
  );

  it('keeps the reason of a refusal', async () => {
    const denied = { AccessDenied: { returnValues: { reason: '12' } } };
    const { samples } = await samplesOf([status(true, { events: denied })]);
    expect(samples).toEqual([expect.objectContaining({ ok: false, why: 'AccessDenied 12' })]);
  });

  it('keeps what a connector says of a failure', async () => {
    const { samples } = await samplesOf([status(false, null, ['409 CONFLICT']), status(false)]);
    expect(samples.map(({ ok, why }) => [ok, why])).toEqual([
      [false, '409 CONFLICT'],
      [false, 'failed'],
    ]);
  });
});
