import { expect, it } from 'vitest';
import { localSigner } from '../keys/signer.js';
import { type Held, Line } from './line.js';
import type { SubmissionNetwork } from './submission.network.js';

function held(key: number, mark: string): Held {
  const operation = { requestId: Buffer.alloc(32, key), id: mark } as unknown as Held['operation'];
  return { operation, since: 0, resolve: () => undefined, reject: () => undefined };
}

it('takes one act of each key at a time and keeps the others in their order', () => {
  const line = new Line({ name: 'local' } as SubmissionNetwork, localSigner(Buffer.alloc(32, 1)), undefined);
  for (const one of [held(1, 'a'), held(2, 'b'), held(1, 'a again'), held(3, 'c'), held(2, 'b again')]) line.hold(one);
  const marks = (group: Held[]) => group.map(({ operation }) => operation.id);
  expect(marks(line.takeOfEachKey(4))).toEqual(['a', 'b', 'c']);
  expect(marks(line.takeOfEachKey(4))).toEqual(['a again', 'b again']);
  expect(line.held).toBe(0);
});

it('gathers acts only while much waits to be sent, and no longer than some milliseconds', () => {
  const direct = { shared: false } as unknown as Line['direct'];
  const line = new Line({ name: 'local' } as SubmissionNetwork, localSigner(Buffer.alloc(32, 1)), direct);
  const waiting = (bytes: number) => {
    line.outgoing = [{ raw: Buffer.alloc(bytes) } as Line['outgoing'][number]];
  };
  line.hold({ ...held(1, 'a'), since: performance.now() + 1_000 });
  expect(line.wanted).toBe(true);
  waiting(12 * 1024 - 1);
  expect(line.wanted).toBe(true);
  waiting(12 * 1024);
  expect(line.wanted).toBe(false);
  for (let key = 2; key <= 64; key++) line.hold({ ...held(key, `${key}`), since: performance.now() + 1_000 });
  expect(line.wanted).toBe(true);
  line.take();
  line.hold({ ...held(65, 'old'), since: performance.now() - 17 });
  expect(line.wanted).toBe(true);
});
