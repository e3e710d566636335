import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { unnoticed } from '../test/builders/tampering.js';
import { verifyAccessLog } from './access-log.mjs';
import { main } from './main.mjs';

const keys = generateKeyPairSync('ed25519');
const publicKey = `0x${keys.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex')}`;
const sha256 = (...parts: Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest();
const hex = (bytes: Uint8Array) => `0x${Buffer.from(bytes).toString('hex')}`;

/** An entry as docs/access-log.md lays it out; `kind` and `detail` in ASCII. */
function entry(id: number, kind: string, detail: string): { fields: object; preimage: Buffer } {
  const frame = Buffer.alloc(17);
  frame.writeUInt8(1, 0);
  frame.writeBigInt64BE(BigInt(id), 1);
  frame.writeBigInt64BE(1_772_357_400_000_001n, 9);
  const principal = Buffer.alloc(32, 0x11);
  const field = (value: Buffer | null) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(value?.length ?? -1);
    return Buffer.concat([length, value ?? Buffer.alloc(0)]);
  };
  const fields = [principal, null, Buffer.from(kind), null, null, Buffer.from(detail)].map(field);
  return {
    fields: {
      ...{ id: String(id), at: '2026-03-01T09:30:00.000001Z', principal: hex(principal), actor: null, kind },
      ...{ recordId: null, requestId: null, detail },
    },
    preimage: Buffer.concat([frame, ...fields]),
  };
}

function exported(entries: ReturnType<typeof entry>[], first = 1n, previousHead: Buffer = Buffer.alloc(32)) {
  let head = previousHead;
  const lines = entries.map(({ fields, preimage }, index) => {
    const sequence = first + BigInt(index);
    const word = Buffer.alloc(32);
    word.writeBigUInt64BE(sequence, 24);
    const leaf = sha256(preimage);
    head = sha256(head, word, leaf);
    const row = { sequence: String(sequence), ...fields, preimage: hex(preimage), leaf: hex(leaf), head: hex(head) };
    return `${JSON.stringify(row)}\n`;
  });
  return { content: lines.join(''), lines, manifest: manifestOf(lines, first, previousHead, head) };
}

function manifestOf(lines: string[], first: bigint, previousHead: Buffer, head: Buffer): string {
  const content = Buffer.from(lines.join(''));
  const unsigned = {
    ...{ format: 'emr-access-log/1', id: 'ex_1', hospital: 1, createdAt: '2026-03-01T09:30:00.000Z' },
    ...{ rows: String(lines.length), bytes: String(content.length), sha256: hex(sha256(content)) },
    ...{ first: String(first), last: String(first + BigInt(lines.length) - 1n) },
    ...{ previousHead: hex(previousHead), head: hex(head) },
  };
  const value = hex(sign(null, Buffer.from(`emr-access-log/1\n${JSON.stringify(unsigned)}`), keys.privateKey));
  return JSON.stringify({ ...unsigned, signature: { key: publicKey, value } });
}

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'emr-verify-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function verify(content: string, manifest: string) {
  await writeFile(join(directory, 'log'), content);
  return verifyAccessLog(join(directory, 'log'), manifest);
}

const three = exported([entry(1, 'audit', '{}'), entry(7, 'release', '{"version": 1}'), entry(4, 'audit', '{}')]);

describe('emr-verify access-log', () => {
  it('takes the layout and the example of the specification', async () => {
    const one = exported([entry(1, 'audit', '{}')]);
    expect(one.content).toContain('bd1f1852e0f23a6f2e765d316e00493e431700fb04637beba6012f5dbf9fc808');
    expect(one.content).toContain('aaeeff7130e5fe0a485cd1bda30337e30669e75e4f2f42c11be8902e82c77350');
    expect((await verify(one.content, one.manifest)).lines[0]).toContain('entries 1 to 1');
  });

  it('ends with a verdict, and exit code 0 under the right key alone', async () => {
    const files = [join(directory, 'file'), join(directory, 'manifest')];
    await writeFile(files[0]!, three.content);
    await writeFile(files[1]!, three.manifest);
    const run = async (...trust: string[]) => {
      const lines: string[] = [];
      const code = await main(['access-log', ...files, ...trust], (line: string) => void lines.push(line));
      return [code, lines.at(-1)];
    };
    expect(await run('--trust', publicKey)).toEqual([0, expect.stringMatching(/^verified: /)]);
    await writeFile(
      join(directory, 'trust'),
      `# the hospital's key, from the consortium's founding\n${publicKey}  hospital 1\n`,
    );
    expect(await run('--trust', join(directory, 'trust'))).toEqual([0, expect.stringMatching(/^verified: /)]);
    expect(await run('--trust', `0x${'00'.repeat(32)}`)).toEqual([1, expect.stringMatching(/^NOT verified: /)]);
    expect(await run()).toEqual([1, expect.stringMatching(/^NOT verified: /)]);
    expect(await run('--trust', join(directory, 'nowhere'))).toEqual([1, expect.stringContaining('neither hex')]);
    expect((await run('--unknown'))[0]).toBe(2);
  });

  it('begins anywhere, from the head that was reached before', async () => {
    const later = exported([entry(9, 'audit', '{}')], 4n, Buffer.alloc(32, 7));
    expect((await verify(later.content, later.manifest)).lines[0]).toContain('entries 4 to 4');
    const pretending = exported([entry(9, 'audit', '{}')], 1n, Buffer.alloc(32, 7));
    await expect(verify(pretending.content, pretending.manifest)).rejects.toThrow('previousHead is not zero');
  });

  it('notices any byte that was changed', async () => {
    expect(await unnoticed(three.content, (content) => verify(content, three.manifest))).toEqual([]);
    expect(await unnoticed(three.manifest, (manifest) => verify(three.content, manifest))).toEqual([]);
  });

  it('names the line where an entry is missing, doubled, moved or cut off', async () => {
    const [first, second, third] = three.lines as [string, string, string];
    const tried = (content: string) => expect(verify(content, three.manifest)).rejects;
    await tried(first + third).toThrow('line 2 is entry 3 where 2 is due');
    await tried(first + first + second + third).toThrow('line 2 is entry 1 where 2 is due');
    await tried(second + first + third).toThrow('line 1 is entry 2 where 1 is due');
    await tried(first + second).toThrow('the file ends with entry 2, the manifest says 3');
    await tried(three.content.slice(0, -1)).toThrow('line 3, the last one, does not end');
    await tried('').toThrow('the file ends with entry 0');
  });

  it('is not taken in by a field that says other than what was chained', async () => {
    const lying = three.content.replace('"kind":"release"', '"kind":"audit"');
    await expect(verify(lying, three.manifest)).rejects.toThrow('line 2: kind is audit, and the bytes');
  });
});
