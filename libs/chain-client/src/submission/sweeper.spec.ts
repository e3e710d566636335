import type { DataSource } from 'typeorm';
import { describe, expect, it, vi } from 'vitest';
import { createLogger } from '../../../platform/src/logger.js';
import { localSigner } from '../keys/signer.js';
import { defaultLimits, type SubmissionNetwork } from './submission.network.js';
import { Sweeper } from './sweeper.js';

const logger = createLogger('test', 'fatal');

function network(name: string, reader: object): SubmissionNetwork {
  return {
    ...{ name, chainId: 1n, contract: Buffer.alloc(20), limits: defaultLimits, maxGas: 1, assigning: true },
    ...{ signers: [localSigner(Buffer.alloc(32, 1))], aligned: true },
    reader: reader as SubmissionNetwork['reader'],
  };
}

/** Answers statements by what they contain; what it isn't told of finds nothing. */
function database(answers: Record<string, () => unknown[]>): { dataSource: DataSource; asked: string[] } {
  const asked: string[] = [];
  const rowsFor = (text: string) => {
    asked.push(text);
    const known = Object.keys(answers).find((part) => text.includes(part));
    return known === undefined ? [] : answers[known]!();
  };
  const client = { query: async ({ text }: { text: string }) => ({ rows: rowsFor(text) }) };
  const runner = { connect: async () => client, release: async () => undefined };
  const driver = { master: client };
  return {
    dataSource: {
      createQueryRunner: () => runner,
      query: async (text: string) => rowsFor(text),
      driver,
    } as unknown as DataSource,
    asked,
  };
}

describe('the sweeper', () => {
  it('is held up on no network by the node of another', async () => {
    let answer: (tip: bigint) => void = () => undefined;
    const silent = vi.fn(() => new Promise<bigint>((resolve) => (answer = resolve)));
    const quick = vi.fn(async () => 1n);
    const networks = [network('global', { blockNumber: silent }), network('local', { blockNumber: quick })];
    const sweeper = new Sweeper({
      ...{ dataSource: database({}).dataSource, networks, logger, intervalMs: 1 },
      ...{ failpoint: () => undefined, ring: () => undefined },
    });
    sweeper.start();
    await vi.waitFor(() => expect(quick.mock.calls.length).toBeGreaterThan(2));
    expect(silent).toHaveBeenCalledTimes(1);
    answer(1n);
    await sweeper.stop();
  });

  it('quarantines a signer only when two sweeps in a row find the same nonce used', async () => {
    const stuck = (nonce: string) => [{ nonce, hash: Buffer.alloc(32), raw: Buffer.alloc(1), due: true }];
    let open: unknown[] = [];
    const { dataSource, asked } = database({
      'a.hash, a.raw': () => open,
      'SELECT address FROM gateway.signer': () => [{ address: localSigner(Buffer.alloc(32, 1)).address }],
      'FROM mirror.cursor': () => [{ number: '7' }],
    });
    const reader = {
      ...{ blockNumber: async () => 7n, transactionCount: async () => 9n },
      known: async () => ['unknown'],
    };
    const sweeper = new Sweeper({
      ...{ dataSource, networks: [network('local', reader)], logger, intervalMs: 1 },
      ...{ failpoint: () => undefined, ring: () => undefined },
    });
    const quarantines = () => asked.filter((sql) => sql.includes("SET state = 'quarantined', reason = $3")).length;
    for (const seen of [stuck('5'), [], stuck('5'), stuck('6')]) {
      open = seen;
      await sweeper.sweep();
    }
    expect(quarantines()).toBe(0);
    await sweeper.sweep();
    expect(quarantines()).toBe(1);
  });

  it('says what keeps acts waiting, once in a while', async () => {
    const { dataSource } = database({
      'AS waited': () => [{ waited: 9.7 }],
      'AS out': () => [{ state: 'quarantined', reason: 'MIRROR_BEHIND', out: 0 }],
    });
    const ring = vi.fn();
    const lines: Record<string, unknown>[] = [];
    const sweeper = new Sweeper({
      ...{
        dataSource,
        networks: [network('local', { blockNumber: async () => 1n })],
        ring,
        failpoint: () => undefined,
      },
      logger: createLogger('test', 'warn', { write: (line) => void lines.push(JSON.parse(line)) }),
    });
    await sweeper.sweep();
    await sweeper.sweep();
    expect(ring).toHaveBeenCalledTimes(2);
    expect(lines).toMatchObject([
      { network: 'local', waitedSeconds: 10, aligned: true, signers: [{ reason: 'MIRROR_BEHIND' }] },
    ]);
    expect(lines).toHaveLength(1);
  });
});
