import { Interface } from 'ethers';
import { expect, it } from 'vitest';
import { abi } from '../libs/contracts/src/generated/emr-ledger.js';
import { Operation, operationName, Reason, reasonName } from '../libs/contracts/src/operations.js';
import { readEvent, word } from '../verifier/ledger.mjs';

// The verifier shares nothing with the product, so nothing but this tells it of an event, operation or reason that was added there.
const ledger = new Interface(abi);
const sequenced = ledger.fragments
  .filter((fragment) => fragment.type === 'event')
  .map((fragment) => ledger.getEvent((fragment as unknown as { name: string }).name)!)
  .filter(({ inputs }) => inputs.filter(({ indexed }) => indexed).length === 3);

const topicsOf = (topic: string) => [Buffer.from(topic.slice(2), 'hex'), word(7n), word(1n), word(2n)];

it.each(sequenced.map((event) => [event.name, event] as const))('knows %s', (name, { topicHash, inputs }) => {
  const data = Buffer.alloc(32 * (inputs.length - 3));
  expect(readEvent(topicsOf(topicHash), data, 'it')).toMatchObject({ type: name, sequence: 7n });
});

it('knows every operation and every reason', () => {
  const { topicHash } = ledger.getEvent('AccessDenied')!;
  const denial = (operation: number, reason: number) =>
    readEvent(
      topicsOf(topicHash),
      Buffer.concat([...Array(5).fill(word(0n)), word(BigInt(operation)), word(BigInt(reason))]),
      'it',
    );
  for (const code of Object.values(Operation)) expect(denial(code, 1).operation).toBe(operationName(code));
  for (const code of Object.values(Reason)) expect(denial(1, code).outcome).toBe(reasonName(code));
});
