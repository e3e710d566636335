import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { isPlain, readPeers } from './peers.file.js';

const directory = mkdtempSync(join(tmpdir(), 'emr-peers-'));
afterAll(() => rmSync(directory, { recursive: true }));

function read(hospitals: object): ReturnType<typeof readPeers> {
  const file = join(directory, 'peers.json');
  writeFileSync(file, JSON.stringify({ hospitals }));
  return readPeers(file);
}

describe('PEERS_FILE', () => {
  it('says where each hospital listens, in the very words that the registry vouches for', () => {
    expect(readPeers(undefined).size).toBe(0);
    expect(read({ 2: { url: 'https://B.example/emr' } })).toEqual(new Map([[2, 'https://B.example/emr']]));
  });

  it.each([
    ['file:///etc/passwd'],
    ['ftp://b.example'],
    ['https://b.example/?to=elsewhere'],
    ['https://b.example/#part'],
    ['https://user:password@b.example'],
    ['https://user@b.example'],
    ['b.example'],
  ])('refuses %s', (url) => {
    expect(() => read({ 2: { url } })).toThrow(/hospitals\.2\.url/);
  });

  it('refuses what is no number of a hospital', () => {
    for (const id of ['0', '-1', '02', 'b']) expect(() => read({ [id]: { url: 'https://b.example' } })).toThrow();
  });

  it('is warned of where the way there is open', () => {
    for (const url of ['http://b.example', 'http://10.0.0.2:4112']) expect(isPlain(url)).toBe(true);
    for (const url of ['https://b.example', 'http://127.0.0.1:4112', 'http://[::1]:1', 'http://localhost'])
      expect(isPlain(url)).toBe(false);
  });
});
