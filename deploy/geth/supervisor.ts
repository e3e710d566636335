import { rm } from 'node:fs/promises';
import { computeAddress } from 'ethers';
import { signerCount } from './genesis.js';
import { findGap, prepareImport, tipOf } from './heal.js';
import { MirrorBlocks } from './mirror-blocks.js';
import { type GethNode, importBlocks, type NodeOptions, startNode } from './node.js';
import { addPeers, connectedKeys, keyOf, peerCount } from './peering.js';
import { lockSealer } from './sealer-lock.js';

export interface SupervisorOptions extends Omit<NodeOptions, 'bootMine'> {
  /** for messages: "hospital A, local network" */
  title: string;
  /** where the hospital's mirror of this network is, by a role that may read it; without it the node's own chain is trusted */
  mirror?: { url: string; network: string };
  /** enodes of the network's other nodes; asked again and again, as they change when a node moves */
  peers?: () => Promise<string[]> | string[];
  /** told once a node (the first, or one after a crash) is up and seals */
  onSealing?: (node: GethNode) => void;
  /** how often peers are added again, ms */
  peerIntervalMs?: number;
  lockFolder?: string;
  /** pause between starts at most, while the node keeps ending (default 30,000 ms) */
  longestBackoffMs?: number;
}

export interface SupervisedNode {
  /** the node that runs at the moment; undefined between a crash and the next start */
  current(): GethNode | undefined;
  /** resolves when the node seals or mines (or, if it does neither, follows) for the first time */
  ready: Promise<void>;
  stop(): Promise<void>;
}

const FIRST_BACKOFF_MS = 250;
const LONGEST_BACKOFF_MS = 30_000;
const STEADY_MS = 60_000;
const STALLED_MS = 20_000;

/**
 * Keeps one node running, whole and peered. A node starts without sealing; what its hospital's mirror has confirmed and the
 * node has lost is imported first (or, where the mirror keeps no raw blocks, fetched from peers); only then does it seal.
 * A node that ends by itself is started again, with growing pauses while it keeps ending.
 * @throws Error when another process seals with the same key, or the first start fails
 */
export async function superviseNode(options: SupervisorOptions): Promise<SupervisedNode> {
  const { logger, title } = options;
  const release = options.sealerKey
    ? lockSealer(computeAddress(`0x${options.sealerKey.toString('hex')}`), options.dir, options.lockFolder)
    : () => {};
  let node: GethNode | undefined;
  /** the node once it may have peers */
  let meeting: GethNode | undefined;
  let stopping = false;
  let firstReady: () => void = () => {};
  let firstFailed: (error: Error) => void = () => {};
  const ready = new Promise<void>((resolve, reject) => {
    firstReady = resolve;
    firstFailed = reject;
  });
  ready.catch(() => {}); // whoever wants to know awaits it
  const asleep = new Set<() => void>();
  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        asleep.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      asleep.add(wake);
    });

  /** Starts a node and doesn't return before it is whole and seals. */
  const bringUp = async (): Promise<GethNode> => {
    let started = await startNode({ ...options, bootMine: false });
    node = started;
    for (let said = ''; options.mirror && !stopping; ) {
      const step = await heal(started, options).catch(
        (error): Step => ({ kind: 'wait', reason: (error as Error).message, peers: false }),
      );
      if (step.kind === 'whole') break;
      if (step.kind === 'import') {
        await started.stop();
        await importBlocks(options.geth, options.dir, step.file);
        await rm(step.file, { force: true });
        started = await startNode({ ...options, bootMine: false });
        node = started;
        const tip = await tipOf(started.ipcPath);
        logger.info(`${title}: imported the missing blocks, head is ${tip.number} again`);
        continue;
      }
      if (said !== step.reason) logger.warn(`${title}: not sealing yet: ${step.reason}`);
      said = step.reason;
      if (step.peers) await joinPeers(started, options).catch(() => {});
      await pause(500);
      if (!started.running()) throw new Error('it ended while it was catching up');
    }
    if (stopping) return started;
    // First seal, then meet: a node that neither seals nor syncs throws away the blocks its peers send, and of two sealers
    // that miss one block each waits for the other for ever. When they connect, they compare, and the lighter one follows.
    if (options.sealerKey || options.miner) await started.startSealing();
    meeting = started;
    await joinPeers(started, options).catch(() => {});
    options.onSealing?.(started);
    return started;
  };

  const watch = async (first: GethNode) => {
    let running: GethNode | undefined = first;
    let backoff = FIRST_BACKOFF_MS;
    while (!stopping) {
      const since = Date.now();
      if (running) {
        const { code, signal } = await running.ended;
        node = undefined;
        if (stopping) return;
        if (Date.now() - since > STEADY_MS) backoff = FIRST_BACKOFF_MS;
        logger.warn(`${title}: the node ended (${signal ?? `code ${code}`}); starting it again in ${backoff} ms`);
      }
      await pause(backoff);
      backoff = Math.min(backoff * 2, options.longestBackoffMs ?? LONGEST_BACKOFF_MS);
      if (stopping) return;
      running = await bringUp().catch(async (error) => {
        logger.warn(`${title}: ${(error as Error).message}`);
        await node?.kill();
        node = undefined;
        return undefined;
      });
    }
  };

  /** Adds peers again and again, and restarts a node whose chain stands still though it has peers. */
  const keepPeers = async () => {
    let seen = { node: meeting, tip: -1n, since: Date.now() };
    let patience = STALLED_MS;
    while (!stopping) {
      await pause(options.peerIntervalMs ?? 2_000);
      const one = meeting;
      if (!one?.running() || stopping) continue;
      try {
        await joinPeers(one, options);
        // Where blocks come at no known pace, standing still says nothing.
        if (!options.sealerKey || !options.genesis.config.clique?.period || !options.peers) continue;
        const tip = (await tipOf(one.ipcPath)).number;
        if (tip !== seen.tip && seen.tip !== -1n) patience = STALLED_MS;
        if (tip !== seen.tip || one !== seen.node || (await peerCount(one.ipcPath)) === 0) {
          seen = { node: one, tip, since: Date.now() };
        } else if (Date.now() - seen.since > patience) {
          logger.warn(
            `${title}: no new block after ${tip} in ${patience / 1000} s; starting the node again to compare with its peers`,
          );
          patience *= 2;
          await one.stop();
        }
      } catch {
        // not up at the moment: next time
      }
    }
  };

  // The socket answers early; sealing may have to wait for the database or for peers, which the caller may still be starting.
  const opened = new Promise<void>((resolve) => {
    const poll = async () => {
      while (!node && !stopping) await pause(20);
      resolve();
    };
    void poll();
  });
  const up = bringUp();
  const watching = up.then(
    async (first) => {
      firstReady();
      await watch(first);
    },
    async (error) => {
      firstFailed(error as Error);
      stopping = true;
      await node?.kill();
    },
  );
  const peering = keepPeers();
  await Promise.race([opened, up]).catch(async (error) => {
    stopping = true;
    for (const wake of asleep) wake();
    release();
    throw error;
  });

  return {
    current: () => node,
    ready,
    stop: async () => {
      stopping = true;
      for (const wake of [...asleep]) wake();
      await node?.stop();
      await Promise.allSettled([watching, peering]);
      await node?.stop();
      release();
    },
  };
}

type Step = { kind: 'whole' } | { kind: 'import'; file: string } | { kind: 'wait'; reason: string; peers: boolean };

/** One look at what is missing, and the way to get it. */
async function heal(node: GethNode, options: SupervisorOptions): Promise<Step> {
  if (!options.mirror) return { kind: 'whole' };
  const mirror = await MirrorBlocks.open(options.mirror.url, options.mirror.network);
  try {
    const multiSigner = signerCount(options.genesis) !== 1;
    const gap = await findGap(node.ipcPath, mirror, multiSigner);
    if (gap.kind === 'whole') return gap;
    options.logger.warn(
      `${options.title}: the node has blocks up to ${gap.ancestor} of ${gap.to} confirmed ones${gap.rewind ? ', and others above' : ''}`,
    );
    const file = await prepareImport(node.ipcPath, mirror, gap, options.dir);
    if (file) return { kind: 'import', file };
    if (multiSigner) return { kind: 'wait', reason: `waiting for peers to bring blocks up to ${gap.to}`, peers: true };
    return {
      kind: 'wait',
      reason: `blocks after ${gap.ancestor} are confirmed, but neither node nor mirror has them raw`,
      peers: false,
    };
  } finally {
    await mirror.close();
  }
}

/** Adds the peers that aren't connected. */
async function joinPeers(node: GethNode, options: SupervisorOptions): Promise<void> {
  const wanted = (await options.peers?.()) ?? [];
  if (wanted.length === 0) return;
  const keys = await connectedKeys(node.ipcPath);
  const mine = keyOf(node.enode ?? '');
  await addPeers(
    node.ipcPath,
    wanted.filter((enode) => keyOf(enode) !== mine && !keys.has(keyOf(enode))),
  );
}
