import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LedgerLoad } from '../../apps/indexer/test/ledger-load.js';
import { tieProcessesToUs } from '../../deploy/geth/child-process.js';
import { addPeer } from '../../deploy/geth/commands/peers.command.js';
import { deployLedger } from '../../deploy/geth/deploy-ledger.js';
import { cliqueGenesis, type Genesis } from '../../deploy/geth/genesis.js';
import { ipcCall } from '../../deploy/geth/ipc.js';
import { readKeptPeers } from '../../deploy/geth/kept-peers.js';
import { type Member, type NodeSet, startNodeSet } from '../../deploy/geth/node-set.js';
import { peerNodeOf } from '../../deploy/geth/peer-node.js';
import { signersOf, voteSigner } from '../../deploy/geth/signers.js';
import { addressOf, newKey } from '../../libs/chain-client/src/keys/secp256k1.js';
import { Operation, Role } from '../../libs/contracts/src/operations.js';
import { parameters } from '../../libs/contracts/src/parameters.js';
import { toHex } from '../../libs/platform/src/bytes.js';
import { testGeth, testHospital } from '../stack/chain.js';

const geth = await testGeth();
const logger = { info: () => {}, warn: () => {} };
const CHAIN = 710_040;
tieProcessesToUs();

const hospitals = [testHospital(1), testHospital(2), testHospital(3)] as const;
const sealerKeys = [newKey(), newKey(), newKey()] as const;
const sealers = sealerKeys.map((key) => toHex(addressOf(key)));
const third = sealers[2] as string;
const sets: NodeSet[] = [];
const loads: LedgerLoad[] = [];
let dir: string;
let genesis: Genesis;
let contract: string;
let sockets: [string, string, string];

const member = (index: 0 | 1 | 2): Member => ({
  ...{ title: `hospital ${index + 1}`, dir: join(dir, `hospital-${index + 1}`) },
  ...{ sealerKey: sealerKeys[index], p2pPort: 0 },
});
const load = (index: 0 | 1 | 2) => loads[index] as LedgerLoad;
const head = async (socket: string) => Number(await ipcCall<string>(socket, 'eth_blockNumber'));
const socketOf = (set: NodeSet, index = 0) => set.nodes[index]?.current()?.ipcPath ?? '';

/** Signers of the last few blocks, as the node of `socket` has them. */
async function recentSealers(socket: string, count: number): Promise<string[]> {
  const top = await head(socket);
  const numbers = Array.from({ length: Math.min(count, top) }, (_, back) => `0x${(top - back).toString(16)}`);
  const found = await Promise.all(numbers.map((at) => ipcCall<string>(socket, 'clique_getSigner', [at])));
  return found.map((address) => address.toLowerCase());
}

/** Registers an actor of the third hospital: its own relayer's transaction. @returns the receipt's status, seen on the first node */
async function thirdActs(): Promise<string> {
  const [, , { registrarKey }] = hospitals;
  const values = { account: addressOf(newKey()), roles: Role.CLINICIAN, custody: 0 };
  const hash = await load(2).send([
    load(2).intent(Operation.REGISTER_ACTOR, { key: registrarKey, parameters: parameters.registerActor(values) }),
  ]);
  const receipt = () =>
    ipcCall<{ status: string } | null>(sockets[0], 'eth_getTransactionReceipt', [hash]).catch(() => null);
  await expect.poll(receipt, { timeout: 30_000 }).toBeTruthy();
  return (await receipt())?.status ?? '';
}

/** A hospital's vote in the registry, as its registrar's act. */
async function vote(index: 0 | 1, operation: number, values: Buffer): Promise<void> {
  await load(index).mined([load(index).intent(operation, { key: hospitals[index].registrarKey, parameters: values })]);
}

describe.skipIf(!geth)('a third hospital', () => {
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'emr-consortium-'));
    genesis = cliqueGenesis({ chainId: CHAIN, period: 1, signers: sealers.slice(0, 2) });
    const supervision = { peerIntervalMs: 500, lockFolder: join(dir, 'locks') };
    const options = { geth: geth!, genesis, logger, strangers: readKeptPeers, supervision };
    const founders = await startNodeSet([member(0), member(1)], options);
    sets.push(founders);
    await founders.ready();
    const ledger = await deployLedger({
      ...{ ipcPath: socketOf(founders), chainId: CHAIN, threshold: 2 },
      hospitals: hospitals.slice(0, 2).map(({ entry }) => entry),
    });
    contract = ledger.contract;
    // The newcomer runs its node by itself, on the founders' genesis.
    const newcomer = await startNodeSet([member(2)], options);
    sets.push(newcomer);
    await newcomer.ready();
    sockets = [socketOf(founders, 0), socketOf(founders, 1), socketOf(newcomer)];
    for (const [index, { id, relayerKeys, registrarKey }] of hospitals.entries()) {
      const relayerKey = relayerKeys[0] as Buffer;
      const target = { rpcUrl: sockets[index] ?? '', chainId: CHAIN, contract, relayerKey, registrarKey, hospital: id };
      loads.push(new LedgerLoad(target));
    }
  });
  afterAll(async () => {
    await Promise.all(loads.map((each) => each.close()));
    await Promise.all(sets.map((set) => set.stop()));
    await rm(dir, { recursive: true, force: true });
  });

  it('is not connected to a chain that is not its own', async () => {
    const target = { ipcPath: sockets[2], dir: member(2).dir };
    const theirs = await peerNodeOf(sockets[0]);
    const other = `0x${randomBytes(32).toString('hex')}`;
    const refused = addPeer(target, { ...theirs, genesisHash: other, networkId: '5' });
    await expect(refused).rejects.toThrow(`genesis: ours ${theirs.genesisHash}, theirs ${other}`);
    await expect(addPeer(target, { ...theirs, networkId: '5' })).rejects.toThrow(`network id: ours ${CHAIN}, theirs 5`);
    expect(await readKeptPeers(member(2).dir)).toEqual([]);
  });

  it('syncs once it is a peer, and counts for nothing yet', async () => {
    for (const other of [sockets[0], sockets[1]]) {
      await addPeer({ ipcPath: sockets[2], dir: member(2).dir }, await peerNodeOf(other));
      await addPeer({ ipcPath: other, dir: undefined }, await peerNodeOf(sockets[2]));
    }
    const target = await head(sockets[0]);
    await expect.poll(() => head(sockets[2]), { timeout: 60_000 }).toBeGreaterThanOrEqual(target);
    expect((await signersOf(sockets[2])).signers).toEqual(sealers.slice(0, 2).sort());
    // Its relayer is nobody to the ledger: the transaction is mined and does nothing.
    expect(await thirdActs()).toBe('0x0');
    expect(await recentSealers(sockets[0], 20)).not.toContain(third);
  });

  it('acts once two of the two founders have voted for it, and not after one vote', async () => {
    const { entry } = hospitals[2];
    const [relayer] = entry.relayers as [Buffer];
    const admission = parameters.voteAdmit({ ...entry, relayer });
    await vote(0, Operation.VOTE_ADMIT, admission);
    expect(await thirdActs()).toBe('0x0');
    await vote(1, Operation.VOTE_ADMIT, admission);
    expect(await thirdActs()).toBe('0x1');
  });

  it('seals once more than half of the signers let it in', async () => {
    expect(await voteSigner(sockets[0], third, 'in', 4_000)).toBe(false);
    expect((await signersOf(sockets[0])).proposals).toEqual({ [third]: 'in' });
    const both = [sockets[0], sockets[1]].map((socket) => voteSigner(socket, third, 'in', 30_000));
    expect(await Promise.all(both)).toEqual([true, true]);
    for (const socket of sockets) {
      await expect
        .poll(async () => (await signersOf(socket)).signers, { timeout: 30_000 })
        .toEqual([...sealers].sort());
    }
    // A proposal left standing would let it in again after it has left.
    expect((await signersOf(sockets[0])).proposals).toEqual({});
    await expect.poll(() => recentSealers(sockets[0], 6), { timeout: 60_000 }).toContain(third);
  });

  it('leaves again: it seals no more, its acts do nothing, and the others go on without it', async () => {
    const both = [sockets[0], sockets[1]].map((socket) => voteSigner(socket, third, 'out', 30_000));
    expect(await Promise.all(both)).toEqual([true, true]);
    for (const index of [0, 1] as const) {
      await vote(index, Operation.VOTE_STATUS, parameters.voteStatus({ id: 3, active: false }));
    }
    expect(await thirdActs()).toBe('0x0');
    await sets[1]?.stop();
    const left = await head(sockets[0]);
    await expect.poll(() => head(sockets[0]), { timeout: 60_000 }).toBeGreaterThan(left + 4);
    expect(await recentSealers(sockets[0], 4)).not.toContain(third);
    expect((await signersOf(sockets[1])).signers).toEqual(sealers.slice(0, 2).sort());
  });
});
