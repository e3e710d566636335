import { mkdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { ipcCall } from '../../deploy/geth/ipc.js';
import type { HospitalLayout } from '../../deploy/local/layout.js';
import type { HospitalDatabase, PostgresServer } from '../../deploy/local/postgres.js';
import { keyFiles, type PublicFacts } from '../../deploy/local/provision.js';
import { findRedis, type RedisServer, startRedis } from '../../deploy/local/redis.js';
import { relayerKey } from '../client/ledger.js';
import { createProxy, type RpcProxy } from '../proxy/proxy.js';
import type { QueueKind } from '../scenario.js';
import { renameDatabase } from './database.js';
import type { ChaosLayout, NetworkKind } from './layout.js';
import { type Nodes, startNodes } from './nodes.js';
import { type Networks, type ProgramOptions, type Programs, startPrograms, writeNetworks } from './programs.js';
import { type SignerServer, startSigner } from './signer.js';
import { restoreTemplate, type TemplateContext } from './template.js';

/** One hospital as a run has it: two gateways with their workers, an indexer, one node or two, and what stands between them. */
export interface ChaosStack {
  layout: ChaosLayout;
  kind: NetworkKind;
  queue: QueueKind;
  hospital: { layout: HospitalLayout; facts: PublicFacts };
  postgres: PostgresServer;
  database: HospitalDatabase;
  redis: RedisServer | undefined;
  nodes: Nodes;
  networks: Networks;
  proxy: RpcProxy;
  programs: Programs;
  /** base URLs of the replicas */
  apis: string[];
  passwords: Record<string, string>;
  /** open records and their content */
  records: Map<string, Buffer>;
  /** no more blocks, so that the chain stands still for the verdict */
  stopSealing(): Promise<void>;
  /** stops gateways and indexer in order, does something, starts them again */
  restartPrograms(whileDown: () => Promise<void>): Promise<void>;
  stop(): Promise<void>;
  /** puts folder and database aside, after `stop`. @returns where */
  keep(name: string): Promise<string>;
}

export interface StackContext extends TemplateContext {
  /** PATH, to find redis-server */
  path: string | undefined;
}

/** Starts a hospital as its template has it, gateway-1 on the node's IPC, gateway-2 on HTTP, all through the proxy. */
export async function startStack(
  context: StackContext,
  options: { kind: NetworkKind; queue: QueueKind; signer: 'keystore' | 'external' } & Pick<
    ProgramOptions,
    'failpoint' | 'onEnd'
  >,
): Promise<ChaosStack> {
  const { layout, postgres } = context;
  const { kind, queue } = options;
  const { template, database, facts } = await restoreTemplate(context, kind);
  const { hospital } = layout;
  const started: { stop(): Promise<void> }[] = [];
  const stop = async () => {
    for (const one of started.splice(0).reverse())
      await one.stop().catch((error) => context.logger.warn(String(error)));
  };
  try {
    const nodes = await startNodes({ ...context, kind, facts, mirrorUrl: database.nodeUrl });
    started.push(nodes);
    const proxy = createProxy(nodes.ipcPath);
    started.push({ stop: () => proxy.close() });
    const sockets = { 'gateway-1': join(layout.dir, 'p1.ipc'), indexer: join(layout.dir, 'p3.ipc') };
    await proxy.listenIpc('gateway-1', sockets['gateway-1']);
    await proxy.listenHttp('gateway-2', layout.ports.proxy);
    await proxy.listenIpc('indexer', sockets.indexer);
    let relayer: SignerServer['relayer'] | undefined;
    if (options.signer === 'external') {
      const signer = await startSigner(await relayerKey({ layout: hospital }, 'local'), layout.ports.signer);
      started.push(signer);
      relayer = signer.relayer;
    }
    const rpc = { ...sockets, 'gateway-2': `http://127.0.0.1:${layout.ports.proxy}`, direct: nodes.ipcPath };
    const networks = await writeNetworks({
      layout,
      kind,
      facts,
      ledger: ledgerOf(template),
      nodes,
      relayer,
      rpc: (n) => rpc[n],
    });
    let redis: RedisServer | undefined;
    if (queue === 'redis') {
      const file = findRedis(context.path);
      if (!file) throw new Error('no redis-server on the PATH: runs with Redis need one');
      redis = await startRedis({ file, port: layout.ports.redis, dir: join(layout.run, 'redis') });
      started.push(redis);
    }
    const start = () =>
      startPrograms({
        ...context,
        ...options,
        database,
        networks,
        queueUrl: redis?.url,
        replicas: 2,
      });
    const programs = await start();
    const stack: ChaosStack = {
      ...{ layout, kind, queue, postgres, database, redis, nodes, networks, proxy, programs, stop },
      hospital: { layout: hospital, facts },
      apis: layout.replicas.map(({ api }) => `http://127.0.0.1:${api}`),
      passwords: JSON.parse(await readFile(keyFiles(hospital).demoUsers, 'utf8')),
      records: new Map(Object.entries(template.records).map(([id, text]) => [id, Buffer.from(text, 'base64')])),
      stopSealing: async () => {
        for (const dir of nodes.dirs) await ipcCall(join(dir, 'geth.ipc'), 'miner_stop').catch(() => undefined);
        await ipcCall(nodes.ipcPath, 'miner_stop');
      },
      restartPrograms: async (whileDown) => {
        await stack.programs.stop();
        await whileDown();
        stack.programs = await start();
      },
      keep: async (name) => {
        const folder = layout.kept(name);
        await mkdir(join(folder, '..'), { recursive: true });
        await rename(layout.run, folder);
        await renameDatabase(postgres, hospital.database, name.replaceAll('-', '_'));
        return folder;
      },
    };
    started.push({ stop: () => stack.programs.stop() });
    return stack;
  } catch (error) {
    await stop();
    throw error;
  }
}

const ledgerOf = ({ contract, startBlock }: { contract: string; startBlock: string }) => ({ contract, startBlock });
