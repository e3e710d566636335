import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startAnvil } from '../../deploy/geth/anvil.js';
import { findGeth } from '../../deploy/geth/binary.js';
import { deployLedger } from '../../deploy/geth/deploy-ledger.js';
import { cliqueGenesis, GAS_LIMIT } from '../../deploy/geth/genesis.js';
import { startNode } from '../../deploy/geth/node.js';
import type { Logger } from '../../deploy/geth/program.js';
import { addressOf } from '../../libs/chain-client/src/keys/secp256k1.js';
import { connectRpc, type RpcTransport } from '../../libs/chain-client/src/rpc/transport.js';
import { toHex } from '../../libs/platform/src/bytes.js';
import { type BenchLedger, LedgerActs } from './ledger-acts.js';

/** A chain of the bench's own, running. */
export interface BenchChain {
  kind: 'geth' | 'anvil';
  pid: number;
  ledger: BenchLedger;
  /** path of the node's socket */
  rpcUrl: string;
  rpc: RpcTransport;
  stop(): Promise<void>;
}

export interface ChainOptions {
  /** the node's folder; a chain that is there already goes on */
  dir: string;
  /** Anvil can replace its own last blocks, geth can't. */
  kind?: 'anvil';
  logger: Logger;
}

const CHAIN_ID = 710_090;
const PATIENCE_MS = 120_000;

/** A network of one node that seals when a transaction arrives, with EmrLedger and one hospital. */
export async function startBenchChain({ dir, kind, logger }: ChainOptions): Promise<BenchChain> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const file = join(dir, 'bench-ledger.json');
  const secrets = join(dir, 'bench-sealer.hex');
  if (!existsSync(secrets)) writeFileSync(secrets, randomBytes(32).toString('hex'), { mode: 0o600 });
  const sealerKey = Buffer.from(readFileSync(secrets, 'utf8'), 'hex');
  const geth = kind === 'anvil' ? undefined : await findGeth({ env: process.env, logger, build: false });
  const genesis = cliqueGenesis({ chainId: CHAIN_ID, period: 0, signers: [toHex(addressOf(sealerKey))], timestamp: 1 });
  const node = geth
    ? await startNode({ geth, dir, genesis, networkId: CHAIN_ID, sealerKey, bootMine: true, logger })
    : await startAnvil({ dir, chainId: CHAIN_ID, period: 0, logger });
  const rpc = connectRpc(node.ipcPath, { timeoutMs: PATIENCE_MS });
  const stop = async () => {
    await rpc.close();
    await node.stop();
  };
  try {
    if (!existsSync(file)) {
      writeFileSync(file, JSON.stringify(await found(node.ipcPath, node.genesisHash)), { mode: 0o600 });
    }
    const ledger = JSON.parse(readFileSync(file, 'utf8')) as BenchLedger;
    return { kind: node.kind, pid: node.pid, ledger, rpcUrl: node.ipcPath, rpc, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function found(ipcPath: string, genesisHash: string): Promise<BenchLedger> {
  const [relayerKey, registrarKey] = [randomBytes(32), randomBytes(32)];
  const { contract, startBlock } = await deployLedger({
    ...{ ipcPath, chainId: CHAIN_ID, threshold: 1 },
    hospitals: [
      {
        ...{ id: 1, registrar: addressOf(registrarKey), relayers: [addressOf(relayerKey)] },
        ...{
          identityKey: randomBytes(32),
          transferKey: randomBytes(32),
          transferKeyId: 1,
          endpointHash: randomBytes(32),
        },
      },
    ],
  });
  return {
    ...{ chainId: CHAIN_ID, contract, startBlock: Number(startBlock), genesisHash },
    ...{ relayerKey: toHex(relayerKey), registrarKey: toHex(registrarKey) },
  };
}

/** A chain with nothing on it but the ledger. */
export async function freshChain(options: ChainOptions): Promise<BenchChain> {
  rmSync(options.dir, { recursive: true, force: true });
  return startBenchChain(options);
}

const RECORDS = 1_000;
const OPENS_PER_TRANSACTION = 50;
/** Transactions on their way at once: enough for full blocks, few enough that the pool costs nothing. */
const IN_FLIGHT = 2_000;
const SEND = 100;

/**
 * The chain that backfills are measured on: `blocks` blocks of `events` queries, one transaction and one event each. Made once, then
 * kept; a chain that a kill left half made is made anew.
 */
export async function loadedChain(
  options: ChainOptions & { blocks: number; events: number; signal: AbortSignal; log(message: string): void },
): Promise<BenchChain> {
  const { dir, blocks, events, signal, log } = options;
  const complete = join(dir, 'complete');
  if (existsSync(complete)) return startBenchChain(options);
  log(`making a chain of ${blocks} blocks of ${events} events; it is kept for the next run`);
  const chain = await freshChain(options);
  try {
    const acts = await prepareRecords(chain, RECORDS);
    const gasLimit = await fillingGasLimit(chain, acts, events);
    const first = acts.nonce;
    const total = blocks * events;
    for (let sent = 0; sent < total; ) {
      signal.throwIfAborted();
      const count = Math.min(SEND, total - sent);
      const calls = Array.from({ length: count }, () => acts.query(1, gasLimit));
      await chain.rpc.batch(calls.map((raw) => ({ method: 'eth_sendRawTransaction', params: [raw] })));
      sent += count;
      if (sent % 20_000 === 0 && sent < total) log(`${sent} of ${total} sent`);
      await minedThrough(chain, acts, first + BigInt(Math.max(0, sent - IN_FLIGHT)));
    }
    await minedThrough(chain, acts, first + BigInt(total));
    writeFileSync(complete, '');
    return chain;
  } catch (error) {
    await chain.stop();
    throw error;
  }
}

/** A clinician and `count` records on a fresh ledger. @returns what goes on with them */
export async function prepareRecords(chain: BenchChain, count: number): Promise<LedgerActs> {
  const acts = new LedgerActs(chain.ledger, 0n);
  await send(chain, acts, acts.registerClinician());
  for (let opened = 0; opened < count; opened += OPENS_PER_TRANSACTION) {
    await send(chain, acts, acts.open(Math.min(OPENS_PER_TRANSACTION, count - opened)));
  }
  return acts;
}

/** Sends one transaction and waits until it is mined. */
export async function send(chain: BenchChain, acts: LedgerActs, raw: string): Promise<void> {
  await chain.rpc.request('eth_sendRawTransaction', [raw]);
  await minedThrough(chain, acts, acts.nonce);
}

/**
 * A block takes a transaction when the gas left in it covers the transaction's limit. So with a limit of nearly the whole block, less
 * what `events − 1` of them use, exactly `events` go into each.
 */
async function fillingGasLimit(chain: BenchChain, acts: LedgerActs, events: number): Promise<bigint> {
  for (let warm = 0; warm < 2; warm++) await send(chain, acts, acts.query(1));
  const { gasUsed } = await chain.rpc.request<{ gasUsed: string }>('eth_getBlockByNumber', ['latest', false]);
  const limit = BigInt(GAS_LIMIT) - (BigInt(gasUsed) * BigInt(2 * events - 1)) / 2n;
  if (limit < BigInt(gasUsed) * 2n) throw new Error(`a block can't hold ${events} transactions of one event`);
  return limit;
}

async function minedThrough(chain: BenchChain, acts: LedgerActs, nonce: bigint): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; ) {
    if ((await acts.minedNonce(chain.rpc)) >= nonce) return;
    await sleep(2);
  }
  throw new Error(`the node did not mine transaction ${nonce} of the bench's relayer in ${PATIENCE_MS / 1000} s`);
}
