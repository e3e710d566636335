import { readFileSync } from 'node:fs';
import { AbiCoder, Interface } from 'ethers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../platform/src/bytes.js';
import { abi } from './generated/emr-ledger.js';
import { Operation, operationName, Reason, Role, reasonName } from './operations.js';
import { addressWord, decodeParameters, parameters } from './parameters.js';
import { decodeRevert } from './revert.js';

const source = readFileSync(new URL('../solidity/Codes.sol', import.meta.url), 'utf8');

/** The constants of one library of Codes.sol, with the remark behind each. */
function library(name: string): { name: string; value: number; remark: string }[] {
  const body = new RegExp(`library ${name} \\{([^}]*)\\}`).exec(source)![1]!;
  return [...body.matchAll(/constant (\w+) = (\d+);(?: \/\/ (.*))?/g)].map(([, key, value, remark]) => ({
    name: key!,
    value: Number(value),
    remark: remark ?? '',
  }));
}
const codes = (name: string) => Object.fromEntries(library(name).map((it) => [it.name, it.value]));

describe('the codes', () => {
  it('are those of the contract', () => {
    expect(Operation).toEqual(codes('Operations'));
    expect(Reason).toEqual(codes('Reasons'));
    expect(Role).toEqual(codes('Roles'));
  });

  it('have names, and unknown ones a readable stand-in', () => {
    expect(reasonName(Reason.NO_RELATION)).toBe('NO_RELATION');
    expect(operationName(Operation.QUERY)).toBe('QUERY');
    expect(reasonName(250)).toBe('REASON_250');
  });
});

describe('parameters', () => {
  const words = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));

  it('have the words, in the order, that the contract documents', () => {
    for (const { name, value, remark } of library('Operations')) {
      const documented = remark.replaceAll(/\([^)]*\)/g, '').split(',');
      const names = documented.map((it) => it.trim().split(' ')[0]!.replace(/\.$/, ''));
      const { name: _, ...decoded } = decodeParameters(value, Buffer.alloc(32 * names.length));
      expect(Object.keys(decoded), name).toEqual(names);
    }
  });

  it('come back as they went in', () => {
    fc.assert(
      fc.property(words, words, fc.nat(255), fc.nat(65535), (a, b, small, medium) => {
        const address = a.subarray(12);
        const opening = { contentHash: a, subject: address, level: small, origin: b, originBlock: a };
        expect(decodeParameters(Operation.OPEN, parameters.open(opening))).toEqual({ name: 'open', ...opening });
        const asking = { version: medium, purpose: medium, ttl: 2 ** 32 - 1, basis: addressWord(address) };
        expect(decodeParameters(Operation.QUERY, parameters.query(asking))).toEqual({ name: 'query', ...asking });
        const member = { team: address, member: b.subarray(12), active: small > 100 };
        expect(decodeParameters(Operation.SET_TEAM_MEMBER, parameters.setTeamMember(member))).toEqual({
          name: 'setTeamMember',
          ...member,
        });
        const types = ['bytes32', 'address', 'uint8', 'bytes32', 'bytes32'];
        const encoded = AbiCoder.defaultAbiCoder().encode(types, [toHex(a), toHex(address), small, toHex(b), toHex(a)]);
        expect(toHex(parameters.open(opening))).toBe(encoded);
      }),
    );
  });

  it('are refused when a value does not fit its type', () => {
    expect(() => parameters.close({ reason: 65536 })).toThrow('reason is no uint16');
    expect(() => parameters.close({ reason: 1.5 })).toThrow(RangeError);
    expect(() => parameters.complete({ transferId: Buffer.alloc(31) })).toThrow('transferId is not 32 bytes');
    expect(() => decodeParameters(Operation.CLOSE, Buffer.alloc(64))).toThrow(RangeError);
    expect(() => decodeParameters(Operation.CLOSE, Buffer.alloc(32, 1))).toThrow(RangeError);
    expect(() => decodeParameters(99, Buffer.alloc(0))).toThrow(RangeError);
  });
});

describe('reverts', () => {
  it('are decoded for every error of the compiled contract', () => {
    const iface = new Interface(abi);
    const errors = iface.fragments
      .filter((it) => it.type === 'error')
      .map((it) => iface.getError(it.format('sighash'))!);
    expect(errors.length).toBeGreaterThan(0);
    for (const error of errors) {
      const values = error.inputs.map((input) => (input.type === 'address' ? `0x${'ab'.repeat(20)}` : 7));
      const data = fromHex(iface.encodeErrorResult(error, values));
      const fields = error.inputs.map((it) => [it.name, it.type === 'address' ? Buffer.alloc(20, 0xab) : 7]);
      expect(decodeRevert(data)).toEqual({ name: error.name, ...Object.fromEntries(fields) });
      expect(decodeRevert(Buffer.concat([data, Buffer.from([0])]))).toBeUndefined();
    }
    expect(decodeRevert(Buffer.alloc(0))).toBeUndefined();
  });
});
