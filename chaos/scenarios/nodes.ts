import { cp, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ipcCall } from '../../deploy/geth/ipc.js';
import { addressOf, newKey } from '../../libs/chain-client/src/keys/secp256k1.js';
import { signLegacyTransaction } from '../../libs/chain-client/src/keys/transaction.js';
import { ledgerOf } from '../client/ledger.js';
import { isSend } from '../proxy/fates.js';
import { alive, type Run, type Scenario, until } from '../run.js';

const chainOf = (dir: string) => join(dir, 'geth');
const tipOf = async (run: Run) => Number(await ipcCall<string>(run.stack.nodes.ipcPath, 'eth_blockNumber'));

export const nodes: Scenario[] = [
  {
    name: 'node-kill',
    about: 'the node killed under load; every second time its pool is gone when it comes back',
    rows: [9],
    seconds: 10,
    async inject(run: Run) {
      const { nodes: node } = run.stack;
      for (let round = 0; round < 4; round += 1) {
        await run.rest(500, 1_800);
        if (round % 2 === 0) {
          await until(async () => alive(node.pid()), 10_000);
          run.fault('kill node');
          node.kill();
        } else {
          run.fault('kill node, its pool lost');
          await node.restart('kill', async () => {
            for (const dir of node.dirs) await rm(join(chainOf(dir), 'transactions.rlp'), { force: true });
          });
        }
      }
    },
  },
  {
    name: 'pool-drop',
    about: 'the node says that it took transactions and forgets them',
    rows: [9],
    fate: (message, _front, dice) => (isSend(message) && dice.below(100) < 35 ? { kind: 'swallow' } : { kind: 'pass' }),
    seconds: 12,
  },
  {
    name: 'power-loss',
    about:
      'the sealing node killed, what it had not yet on disk torn off or its head set back, then healed from the mirror',
    rows: [25],
    seconds: 12,
    async inject(run: Run) {
      const { nodes: node } = run.stack;
      for (let round = 0; round < 5; round += 1) {
        await run.rest(800, 2_000);
        if (run.dice.below(2) === 0) {
          const bytes = 1 + run.dice.below(60_000);
          run.fault(`kill node, the last ${bytes} bytes of its log torn off`);
          await node.restart('kill', () => tearOff(join(chainOf(node.dirs[0] as string), 'chaindata'), bytes));
        } else {
          const blocks = 1 + run.dice.below(6);
          run.fault(`node killed with its head ${blocks} blocks back`, [25, 10]);
          await ipcCall(node.ipcPath, 'miner_stop');
          const head = Math.max(1, (await tipOf(run)) - blocks);
          await ipcCall(node.ipcPath, 'debug_setHead', [`0x${head.toString(16)}`]);
          await run.rest(0, 1_500);
          await node.restart('kill');
        }
      }
    },
  },
  {
    name: 'old-data',
    about: 'the node started on an older copy of its data, healed from the mirror before it seals',
    rows: [10],
    seconds: 12,
    async inject(run: Run) {
      const { nodes: node } = run.stack;
      const [dir] = node.dirs as [string];
      const backup = join(run.stack.layout.run, 'old-geth');
      await node.restart('stop', () => cp(chainOf(dir), backup, { recursive: true }));
      for (let round = 0; round < 5; round += 1) {
        await run.rest(700, 1_400);
        run.fault('node on old data');
        await node.restart('kill', async () => {
          await rm(chainOf(dir), { recursive: true, force: true });
          await cp(backup, chainOf(dir), { recursive: true });
        });
      }
    },
  },
  {
    name: 'shallow',
    about: 'a block that is not final is taken back, again and again; its transactions have left the pool',
    rows: [14],
    kind: 'blocks',
    seconds: 12,
    allow: { reorganisations: true },
    async inject(run: Run) {
      for (let round = 0; round < 6; round += 1) {
        await run.rest(1_500, 3_000);
        const tip = await tipOf(run);
        run.fault(`block ${tip} taken back`);
        await ipcCall(run.stack.nodes.ipcPath, 'debug_setHead', [`0x${(tip - 1).toString(16)}`]);
      }
    },
  },
  {
    name: 'partition',
    about: 'two sealers that lose sight of each other, seal apart, and meet again',
    rows: [14],
    kind: 'pair',
    seconds: 14,
    allow: { reorganisations: true },
    async inject(run: Run) {
      for (let round = 0; round < 4; round += 1) {
        await run.rest(1_500, 2_500);
        run.fault('the two nodes set apart');
        await run.stack.nodes.setApart(true);
        await run.rest(2_000, 3_500);
        await run.stack.nodes.setApart(false);
        await run.rest(1_000, 2_000);
      }
    },
  },
  {
    name: 'deep',
    about:
      'final blocks replaced by a node that was set back: an incident, no silent edit; then the node is healed from the mirror',
    rows: [15],
    seconds: 6,
    allow: { beyondFinality: true },
    async inject(run: Run) {
      for (let round = 0; round < 3; round += 1) {
        await replaceFinalBlocks(run);
        // A person looks, has the node healed, and starts the indexer again.
        await run.stack.nodes.restart('kill');
        await run.kill('indexer', []);
        await run.stack.programs.indexer.ready(30_000);
      }
    },
  },
];

/** Has the node seal so many blocks of other content: transactions of a key that has nothing to do with the ledger. */
async function sealMore(run: Run, blocks: number): Promise<void> {
  const { reader, network, close } = ledgerOf({ networksFile: run.stack.networks.direct }, 'local');
  const key = newKey();
  try {
    for (let nonce = 0n; nonce < BigInt(blocks); nonce += 1n) {
      const to = addressOf(key);
      const rest = { chainId: network.chainId, gasPrice: 0n, gasLimit: 21_000n, data: Buffer.alloc(0) };
      const { raw, hash } = signLegacyTransaction({ ...rest, nonce, to }, key);
      await reader.sendRaw([raw]);
      await until(async () => (await reader.receipt(hash)) !== undefined, 5_000);
    }
  } finally {
    await close();
  }
}

async function replaceFinalBlocks(run: Run): Promise<void> {
  await run.rest(1_500, 2_500);
  const blocks = 2 + run.dice.below(5);
  const [before] = await mirrorOf(run);
  run.fault(`head of the running node set back by ${blocks} blocks`);
  await ipcCall(run.stack.nodes.ipcPath, 'debug_setHead', [`0x${((await tipOf(run)) - blocks).toString(16)}`]);
  await sealMore(run, blocks + 2);
  const noted = await until(async () => {
    const [row] = await mirrorOf(run);
    return row !== undefined && row.incidents > (before?.incidents ?? 0) && row.stopped;
  }, 20_000);
  if (!noted) run.findings.push({ kind: 'other', text: 'final blocks were replaced and no incident was noted' });
  const [after] = await mirrorOf(run);
  if (before && after && (Number(after.events) < Number(before.events) || after.orphans > 0))
    run.findings.push({ kind: 'taken-back', text: 'final events were edited silently' });
}

function mirrorOf(run: Run) {
  return run.sql<{ events: string; orphans: number; incidents: number; stopped: boolean }>(
    `SELECT (SELECT count(*) FROM mirror.emr_event) AS events, (SELECT count(*)::int FROM mirror.orphaned_event) AS orphans,
       (SELECT count(*)::int FROM mirror.reorganisation WHERE beyond_finality) AS incidents,
       (SELECT stopped_reason IS NOT NULL FROM mirror.cursor WHERE network = 'local') AS stopped`,
  );
}

/** Shortens the database's newest log, as a machine that lost its power before the last writes had reached the disk. */
async function tearOff(chaindata: string, bytes: number): Promise<void> {
  const logs = (await readdir(chaindata)).filter((name) => name.endsWith('.log')).sort();
  const newest = logs.at(-1);
  if (newest === undefined) throw new Error(`${chaindata} has no log to tear`);
  const file = join(chaindata, newest);
  const { size } = await stat(file);
  const handle = await open(file, 'r+');
  await handle.truncate(Math.max(0, size - bytes));
  await handle.close();
}
