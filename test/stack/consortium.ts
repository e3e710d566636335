import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { computeAddress } from 'ethers';
import { deployLedger } from '../../deploy/geth/deploy-ledger.js';
import { cliqueGenesis } from '../../deploy/geth/genesis.js';
import { ipcCall } from '../../deploy/geth/ipc.js';
import { type Member, startNodeSet } from '../../deploy/geth/node-set.js';
import { type TestChain, type TestHospital, testGeth } from './chain.js';

/** A global network of several sealing nodes with a deployed EmrLedger, any of which can be taken away and come back. */
export interface TestConsortium
  extends Pick<TestChain, 'rpcUrl' | 'chainId' | 'contract' | 'startBlock' | 'genesisHash' | 'stop'> {
  finalityDepth: number;
  period: number;
  /** ends a node for now; number from 1, the first being the one behind `rpcUrl` */
  takeAway(number: number): Promise<void>;
  /** the same node again */
  bringBack(number: number): Promise<void>;
  /** height of the first node */
  height(): Promise<number>;
}

/** @param signers how many nodes seal. @throws Error where no geth is found */
export async function startConsortium(options: {
  hospitals: TestHospital[];
  signers: number;
  chainId: number;
}): Promise<TestConsortium> {
  const geth = await testGeth();
  if (!geth) throw new Error('several sealing nodes need geth');
  const { chainId, hospitals } = options;
  const period = 1;
  const dir = await mkdtemp(join(tmpdir(), 'emr-consortium-'));
  const keys = Array.from({ length: options.signers }, () => randomBytes(32));
  const signers = keys.map((key) => computeAddress(`0x${key.toString('hex')}`));
  const members = keys.map(
    (sealerKey, index): Member => ({
      ...{ title: `node ${index + 1}`, dir: join(dir, `node-${index + 1}`), sealerKey, p2pPort: 0 },
    }),
  );
  const set = await startNodeSet(members, {
    ...{ geth, genesis: cliqueGenesis({ chainId, period, signers }), logger: { info: () => {}, warn: () => {} } },
    supervision: { peerIntervalMs: 500, lockFolder: join(dir, 'locks') },
  });
  const running = new Map(set.nodes.map((node, index) => [index + 1, node]));
  const stop = async () => {
    await set.stop();
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await set.ready();
    const first = set.nodes[0]?.current();
    const rpcUrl = first?.ipcPath ?? '';
    const entries = hospitals.map(({ entry }) => entry);
    const threshold = Math.floor(entries.length / 2) + 1;
    const { contract, startBlock } = await deployLedger({ ipcPath: rpcUrl, chainId, hospitals: entries, threshold });
    return {
      ...{ rpcUrl, chainId, contract, startBlock, genesisHash: first?.genesisHash ?? '', stop, period },
      finalityDepth: options.signers + 1,
      async takeAway(number) {
        const node = running.get(number);
        if (!node) throw new Error(`node ${number} is away already`);
        running.delete(number);
        await set.remove(node);
      },
      async bringBack(number) {
        const node = await set.add(members[number - 1] as Member);
        running.set(number, node);
        await node.ready;
      },
      height: async () => Number(await ipcCall<string>(rpcUrl, 'eth_blockNumber')),
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
