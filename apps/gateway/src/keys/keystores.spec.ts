import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeKeystore } from '../../../../libs/chain-client/src/keys/keystore.js';
import { addressOf, newKey } from '../../../../libs/chain-client/src/keys/secp256k1.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { type NetworksConfig, readNetworks } from '../../../../libs/platform/src/networks.js';
import { Keystores } from './keystores.js';

describe("a network's relayers", () => {
  const keys = { registrar: newKey(), local: newKey(), global: newKey(), second: newKey() };
  const elsewhere = toHex(addressOf(newKey()));
  let directory: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'emr-keystores-'));
    const files = { registrar: 'registrar', local: 'relayer-local', global: 'relayer-global', second: 'any-name' };
    for (const [name, file] of Object.entries(files)) {
      await writeKeystore(join(directory, `${file}.json`), keys[name as keyof typeof keys], 'passphrase');
    }
    await writeFile(join(directory, 'vault.json'), '{"no":"keystore"}');
    await writeFile(join(directory, 'broken.json'), '{');
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  async function networks(relayers: { local?: unknown; global?: unknown }, single = false): Promise<NetworksConfig> {
    const network = (name: 'local' | 'global') => ({
      ...{ name, chainId: '1', rpc: '/run/geth.ipc', contract: elsewhere, genesisHash: `0x${'00'.repeat(32)}` },
      ...{ finalityDepth: 1, ...(relayers[name] === undefined ? {} : { relayers: relayers[name] }) },
    });
    const file = join(directory, 'networks.txt');
    const both = single ? [network('local')] : [network('local'), network('global')];
    await writeFile(file, JSON.stringify({ local: 'local', global: single ? 'local' : 'global', networks: both }));
    return readNetworks(file);
  }
  const open = async (...of: Parameters<typeof networks>) =>
    Keystores.open(directory, 'passphrase', await networks(...of));
  const addresses = (opened: Keystores) =>
    Object.fromEntries(
      Object.entries(opened.relayers).map(([name, signers]) => [name, signers.map(({ address }) => toHex(address))]),
    );
  const address = (name: keyof typeof keys) => toHex(addressOf(keys[name]));

  it("are the tier's own keystore where none is named", async () => {
    const opened = await open({});
    expect(addresses(opened)).toEqual({ local: [address('local')], global: [address('global')] });
    expect(opened.registrar.address).toEqual(addressOf(keys.registrar));
    expect(addresses(await open({}, true))).toEqual({ local: [address('local')] });
  });

  it('are those named, in that order: keystores by their address, and signers elsewhere', async () => {
    const url = 'http://signer.example:9000';
    const opened = await open({
      local: [
        address('second'),
        { kind: 'web3signer', address: elsewhere, url },
        address('local').toUpperCase().replace('0X', '0x'),
      ],
    });
    expect(addresses(opened).local).toEqual([address('second'), elsewhere, address('local')]);
    expect(opened.relayers.local!.map(({ remote }) => remote)).toEqual([false, true, false]);
  });

  it('need no keystore of their own when they all sign elsewhere', async () => {
    await rm(join(directory, 'relayer-global.json'));
    const clef = { kind: 'clef', address: elsewhere, url: '/run/clef.ipc' };
    expect(addresses(await open({ global: [clef] })).global).toEqual([elsewhere]);
    await expect(open({})).rejects.toThrow('relayer-global.json');
  });

  it('are refused by name when no keystore is theirs', async () => {
    await expect(open({ local: [elsewhere] })).rejects.toThrow(elsewhere);
  });

  it.each([
    ['another kind', { kind: 'vault', address: elsewhere, url: 'http://signer.example' }],
    ['no url', { kind: 'clef', address: elsewhere }],
    ['an url of another scheme', { kind: 'clef', address: elsewhere, url: 'ftp://user:secret-word@signer.example' }],
    ['no address', '0x00'],
  ])('are refused with %s, without a word of what was there', async (_, relayer) => {
    const error = await networks({ local: [relayer] }).catch((cause: Error) => cause);
    expect(String(error)).toContain('relayers.0');
    expect(String(error)).not.toContain('secret-word');
  });
});
