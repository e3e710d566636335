import { AbiCoder, Interface, keccak256, TypedDataEncoder } from 'ethers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../platform/src/bytes.js';
import {
  decodeExecute,
  domainSeparator,
  effectHash,
  encodeExecute,
  type Intent,
  intentDigest,
  intentSize,
} from './intent.codec.js';

// ethers is the oracle: the fixed layouts must give its bytes.
const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((value) => Buffer.from(value));
const intents: fc.Arbitrary<Intent> = fc.record({
  operation: fc.integer({ min: 0, max: 255 }),
  requestId: bytes(32),
  recordId: bytes(32),
  parameters: fc.uint8Array({ maxLength: 300 }).map((value) => Buffer.from(value)),
  actor: bytes(20),
  deadline: fc.maxSafeNat(),
  authContext: bytes(32),
  signature: bytes(65),
});
const types = {
  Intent: [
    { name: 'operation', type: 'uint8' },
    { name: 'requestId', type: 'bytes32' },
    { name: 'recordId', type: 'bytes32' },
    { name: 'parameters', type: 'bytes' },
    { name: 'actor', type: 'address' },
    { name: 'deadline', type: 'uint64' },
    { name: 'authContext', type: 'bytes32' },
  ],
};
const execute = new Interface([
  'function execute(tuple(uint8 operation, bytes32 requestId, bytes32 recordId, bytes parameters, address actor, uint64 deadline, bytes32 authContext, bytes signature)[] intents)',
]);
const hexOf = (intent: Intent) => ({
  ...intent,
  requestId: toHex(intent.requestId),
  recordId: toHex(intent.recordId),
  parameters: toHex(intent.parameters),
  actor: toHex(intent.actor),
  authContext: toHex(intent.authContext),
  signature: toHex(intent.signature),
});

describe('the intent codec', () => {
  it('gives the EIP-712 digest that ethers gives', () => {
    fc.assert(
      fc.property(intents, bytes(20), fc.bigInt({ min: 1n, max: 2n ** 64n }), (intent, contract, chainId) => {
        const domain = { name: 'EmrLedger', version: '1', chainId, verifyingContract: toHex(contract) };
        expect(toHex(domainSeparator(chainId, contract))).toBe(TypedDataEncoder.hashDomain(domain));
        const { signature: _, ...unsigned } = hexOf(intent);
        expect(toHex(intentDigest(domainSeparator(chainId, contract), intent))).toBe(
          TypedDataEncoder.hash(domain, types, unsigned),
        );
      }),
    );
  });

  it('gives the calldata that ethers gives, of the size it announces', () => {
    fc.assert(
      fc.property(fc.array(intents, { maxLength: 5 }), (batch) => {
        const encoded = encodeExecute(batch);
        expect(toHex(encoded)).toBe(execute.encodeFunctionData('execute', [batch.map(hexOf)]));
        expect(encoded.length).toBe(4 + 64 + batch.reduce((sum, intent) => sum + intentSize(intent), 0));
      }),
    );
  });

  it('decodes what it encoded', () => {
    fc.assert(
      fc.property(fc.array(intents, { maxLength: 5 }), (batch) => {
        expect(decodeExecute(encodeExecute(batch))).toEqual(batch);
      }),
    );
  });

  it('hashes the effect over operation, record, parameters and actor alone', () => {
    fc.assert(
      fc.property(intents, bytes(32), (intent, other) => {
        const expected = AbiCoder.defaultAbiCoder().encode(
          ['uint256', 'bytes32', 'bytes32', 'address'],
          [intent.operation, intent.recordId, keccak256(intent.parameters), toHex(intent.actor)],
        );
        expect(toHex(effectHash(intent))).toBe(keccak256(expected));
        expect(effectHash({ ...intent, authContext: other, deadline: 1 })).toEqual(effectHash(intent));
      }),
    );
  });

  it('refuses calldata that is cut, foreign or points outside itself, with a RangeError', () => {
    fc.assert(
      fc.property(fc.array(intents, { minLength: 1, maxLength: 3 }), fc.nat(), (batch, cut) => {
        const encoded = encodeExecute(batch);
        expect(() => decodeExecute(encoded.subarray(0, cut % (encoded.length - 31)))).toThrow(RangeError);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
        const call = Buffer.concat([encodeExecute([]).subarray(0, 4), noise]);
        try {
          decodeExecute(call);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
    );
  });

  it('refuses fields of another length or beyond their type', () => {
    const [intent] = fc.sample(intents, { numRuns: 1, seed: 1 });
    const broken: Partial<Intent>[] = [
      { operation: 256 },
      { requestId: Buffer.alloc(31) },
      { recordId: Buffer.alloc(33) },
      { actor: Buffer.alloc(32) },
      { deadline: -1 },
      { deadline: 1.5 },
      { authContext: Buffer.alloc(0) },
      { signature: Buffer.alloc(64) },
    ];
    for (const field of broken) expect(() => encodeExecute([{ ...intent!, ...field }])).toThrow(RangeError);
  });
});
