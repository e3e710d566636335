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
