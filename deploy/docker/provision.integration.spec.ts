import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { readIssuers } from '../../apps/gateway/src/auth/issuers.js';
import { Keystores, readPassphrase } from '../../apps/gateway/src/keys/keystores.js';
import { readPeers } from '../../apps/gateway/src/peering/peers.file.js';
import { readKeystore } from '../../libs/chain-client/src/keys/keystore.js';
import { addressOf } from '../../libs/chain-client/src/keys/secp256k1.js';
import { toHex } from '../../libs/platform/src/bytes.js';
import { readNetworks } from '../../libs/platform/src/networks.js';
import { openVault } from '../../libs/vault/src/vault.js';
import { testGeth } from '../../test/stack/chain.js';
import { type Founding, found, isFounded } from '../geth/founding.js';
import type { Genesis } from '../geth/genesis.js';
import { ipcCall } from '../geth/ipc.js';
import { type GethNode, startNode } from '../geth/node.js';
import { projectRoot } from '../local/layout.js';
import { type FounderFacts, joinFounders, provisionHospital } from './provision.js';

const CHAIN = 730_000;
const slugs = ['hospital-a', 'hospital-b'] as const;
const quiet = { info: () => {}, warn: () => {} };

/** Each hospital provisions itself in a folder of its own, as if the other were far away. */
let dirs: string[];
let facts: FounderFacts[];
let made: { globalGenesis: string; globalLedger: string }[];

const config = (index: number, file: string) => join(dirs[index]!, 'config', slugs[index]!, file);
const secret = (index: number, file: string) => join(dirs[index]!, 'secrets', slugs[index]!, file);
const json = async <T>(file: string) => JSON.parse(await readFile(file, 'utf8')) as T;

beforeAll(async () => {
  dirs = await Promise.all(slugs.map(() => mkdtemp(join(tmpdir(), 'emr-provision-'))));
  facts = [];
  for (const [index, slug] of slugs.entries()) {
    const peerUrl = `https://${slug}.example/peer`;
    const issuer = { issuer: `https://login.${slug}.example`, jwksUri: `https://login.${slug}.example/keys` };
    facts.push(await provisionHospital(dirs[index]!, { id: index + 1, slug, peerUrl, issuer }));
  }
  const files = [config(0, 'public.json'), config(1, 'public.json')];
  made = [
    await joinFounders(dirs[0]!, slugs[0], files, CHAIN),
    await joinFounders(dirs[1]!, slugs[1], [...files].reverse(), CHAIN),
  ];
}, 120_000);
afterAll(async () => {
  for (const dir of dirs ?? []) await rm(dir, { recursive: true, force: true });
});

describe('a provisioned hospital', () => {
  it('has every file that docker-compose.yml mounts', async () => {
    const compose = parse(await readFile(join(projectRoot, 'docker-compose.yml'), 'utf8'), { merge: true }) as {
      secrets: Record<string, { file: string }>;
      services: Record<string, { volumes?: string[] }>;
    };
    const mounted = [
      ...Object.values(compose.secrets).map(({ file }) => file),
      ...Object.values(compose.services).flatMap(({ volumes = [] }) => volumes.map((volume) => volume.split(':/')[0]!)),
    ];
    for (const file of mounted.filter((name) => /_DIR:\?\}/.test(name))) {
      const [, which, rest] = /^\$\{(SECRETS|CONFIG)_DIR:\?\}\/(.+)$/.exec(file)!;
      const index = rest!.startsWith('hospital-a') ? 0 : 1;
      await expect(stat(join(dirs[index]!, which!.toLowerCase(), rest!)), file).resolves.toBeDefined();
    }
    for (const name of ['networks.json', 'issuers.json', 'peers.json', 'keys/vault.json'])
      await expect(stat(config(1, name))).resolves.toBeDefined();
  });

  it('has files that the programs read, and keys that open with their own passphrases alone', async () => {
    const networks = readNetworks(config(0, 'networks.json'));
    expect(networks.networks.map(({ chainId, finalityDepth }) => [chainId, finalityDepth])).toEqual([
      [BigInt(CHAIN + 1), 1],
      [BigInt(CHAIN), 3],
    ]);
    expect(readPeers(config(0, 'peers.json'))).toEqual(new Map([[2, 'https://hospital-b.example/peer']]));
    expect(readIssuers(config(0, 'issuers.json'))[0]).toMatchObject({ hospital: 1 });
    const passphrase = await readPassphrase(secret(0, 'keystore-passphrase'));
    const sealing = await readPassphrase(secret(0, 'sealer-passphrase'));
    expect(toHex((await openVault(config(0, 'keys'), passphrase)).identityPublicKey)).toBe(facts[0]!.identityKey);
    const { registrar } = await Keystores.open(config(0, 'keys'), passphrase, networks);
    expect(toHex(registrar.address)).toBe(facts[0]!.registrar);
    expect(toHex(addressOf(await readKeystore(secret(0, 'sealer-local.json'), sealing)))).toBe(facts[0]!.sealers.local);
    await expect(openVault(config(0, 'keys'), sealing)).rejects.toThrow();
    const url = new URL((await readFile(secret(1, 'gateway-url'), 'utf8')).trim());
    expect([url.hostname, url.password]).toEqual([
      'postgres-b',
      (await readFile(secret(1, 'postgres-gateway-password'), 'utf8')).trim(),
    ]);
  });

  it('keeps its secrets to itself, and has none twice', async () => {
    const seen = new Set<string>();
    for (const index of [0, 1]) {
      for (const name of await readdir(secret(index, '.'))) {
        expect((await stat(secret(index, name))).mode & 0o077, name).toBe(0);
        seen.add(await readFile(secret(index, name), 'utf8'));
      }
      const names = await readdir(secret(index, '.'));
      expect(names).toHaveLength(15);
    }
    expect(seen.size).toBe(30);
    const told = JSON.stringify(facts);
    for (const text of seen) expect(told).not.toContain(text.trim());
  });

  it('is never provisioned anew', async () => {
    const again = provisionHospital(dirs[0]!, { id: 1, slug: slugs[0], peerUrl: 'https://a.example' });
    await expect(again).rejects.toThrow(/is there already/);
  });
});

describe('founders who know of each other only what is public', () => {
  it('come to the same global network, and to local ones of their own', async () => {
    expect(made[0]).toEqual(made[1]);
    for (const file of ['genesis-global.json', 'ledger-global.json'])
      expect(await json(config(0, file))).toEqual(await json(config(1, file)));
    const [a, b] = [readNetworks(config(0, 'networks.json')), readNetworks(config(1, 'networks.json'))];
    expect(a.networks[0]!.genesisHash.equals(b.networks[0]!.genesisHash)).toBe(false);
  });

  it('are told which file doesn’t fit', async () => {
    const own = config(0, 'public.json');
    await expect(joinFounders(dirs[0]!, slugs[0], [own, own], CHAIN)).rejects.toThrow(/same id/);
    await expect(joinFounders(dirs[0]!, slugs[0], [config(1, 'public.json')], CHAIN)).rejects.toThrow(/none of these/);
    await expect(joinFounders(dirs[0]!, slugs[0], [config(0, 'peers.json')], CHAIN)).rejects.toThrow(/public\.json/);
  });
});

const geth = await testGeth();

describe.runIf(geth)('a node with the files of its network', () => {
  let dir: string;
  let node: GethNode;
  let founding: Founding;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'emr-founding-'));
    const genesis = await json<Genesis>(config(0, 'genesis-local.json'));
    founding = await json<Founding>(config(0, 'ledger-local.json'));
    const sealerKey = await readKeystore(
      secret(0, 'sealer-local.json'),
      await readPassphrase(secret(0, 'sealer-passphrase')),
    );
    node = await startNode({
      ...{ geth: geth!, dir, genesis, networkId: genesis.config.chainId, sealerKey, bootMine: true, logger: quiet },
    });
  });
  afterAll(async () => {
    await node?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  it('has the block 0 that was foretold', () => {
    expect(node.genesisHash).toBe(toHex(readNetworks(config(0, 'networks.json')).networks[0]!.genesisHash));
  });

  it('founds the ledger at the place that was foretold, once, however often it is asked', async () => {
    expect(await isFounded(node.ipcPath, founding)).toBe(false);
    const { signal } = new AbortController();
    await Promise.all([found(node.ipcPath, founding, signal), found(node.ipcPath, founding, signal)]);
    expect(await isFounded(node.ipcPath, founding)).toBe(true);
    await found(node.ipcPath, founding, signal);
    expect(Number(await ipcCall<string>(node.ipcPath, 'eth_blockNumber', []))).toBe(1);
    expect(founding.contract).toBe(toHex(readNetworks(config(0, 'networks.json')).networks[0]!.contract));
  });
});
