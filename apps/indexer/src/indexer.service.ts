import { Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import type { DataSource } from 'typeorm';
import { connectRpc, type RpcTransport } from '../../../libs/chain-client/src/rpc/transport.js';
import { createDataSource } from '../../../libs/database/src/data-source.js';
import { createFailpoint } from '../../../libs/platform/src/failpoint.js';
import { followedNetworks, type NetworksConfig } from '../../../libs/platform/src/networks.js';
import { mirrorDamage } from './commit/mirror-damage.js';
import { partitionAdvice } from './commit/partition-advice.js';
import type { MirrorFailpoint } from './commit/postgres.mirror.js';
import { NetworkRunner } from './follow/network.runner.js';
import type { NetworkState } from './follow/network.state.js';
import { RpcSource } from './follow/rpc-source.js';
import type { IndexerMetrics } from './health/metrics.js';

export interface Health {
  /** starting: not caught up yet. standby: another indexer leads. degraded: a network is stopped or out of reach. */
  status: 'starting' | 'ready' | 'standby' | 'degraded';
  networks: Record<string, unknown>;
}

const LOOK_AFTER_MS = 3_600_000;

/** Follows the hospital's networks from start to shutdown of the process. */
export class IndexerService implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly log = new Logger('Indexer');
  private readonly stopping = new AbortController();
  private readonly dataSource: DataSource;
  private readonly transports: RpcTransport[] = [];
  private readonly runners: NetworkRunner[];
  private running: Promise<unknown> = Promise.resolve();

  /** @param settings VERIFICATION, FAILPOINT and MIRROR_PARTITION_EVENTS of the environment */
  constructor(
    databaseUrl: string,
    config: NetworksConfig,
    private readonly metrics: IndexerMetrics,
    private readonly settings: { trustNode?: boolean; failpoint?: string | undefined; partitionEvents?: number } = {},
  ) {
    const { trustNode = false } = settings;
    if (trustNode) {
      this.log.warn('VERIFICATION is off: what the nodes say is stored as they say it, marked unverified.');
    }
    const networks = followedNetworks(config);
    this.dataSource = createDataSource({
      url: databaseUrl,
      applicationName: 'emr-indexer',
      searchPath: 'mirror',
      poolSize: networks.length + 1,
      onPoolError: (error) => this.log.warn(`The database connection was lost: ${error.message}`),
    });
    const reached = createFailpoint<MirrorFailpoint>(settings.failpoint);
    this.runners = networks.map((network) => {
      const connect = (url: string) => {
        const rpc = connectRpc(url);
        this.transports.push(rpc);
        return new RpcSource(rpc);
      };
      return new NetworkRunner(network, {
        dataSource: this.dataSource,
        source: connect(network.rpc),
        witness: network.witness === undefined ? undefined : connect(network.witness),
        metrics,
        trustNode,
        log: this.log,
        failpoint: reached,
      });
    });
    metrics.observe(this.states);
  }

  onApplicationBootstrap(): void {
    this.running = this.run();
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopping.abort(new Error('The indexer is shutting down.'));
    await this.running;
    await Promise.all(this.transports.map((transport) => transport.close()));
    if (this.dataSource.isInitialized) await this.dataSource.destroy();
  }

  health(): Health {
    const phases = this.states.map(({ phase }) => phase);
    const failing = this.states.some(({ phase, lastError }) => phase === 'connecting' && lastError !== undefined);
    return {
      status: statusOf(phases, failing),
      networks: Object.fromEntries(this.states.map((state) => [state.network.name, state.toJSON()])),
    };
  }

  private get states(): NetworkState[] {
    return this.runners.map(({ state }) => state);
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    await this.connectDatabase(signal);
    void this.lookAfter();
    const again = setInterval(() => void this.lookAfter(), LOOK_AFTER_MS);
    signal.addEventListener('abort', () => clearInterval(again));
    await Promise.all(this.runners.map((runner) => runner.run(signal)));
  }

  /** Says what no commit would notice. A database that fails is reported by who needs it. */
  private async lookAfter(): Promise<void> {
    try {
      const damage = await mirrorDamage(this.dataSource);
      this.metrics.onDamage(damage.length);
      for (const line of damage) this.log.error(`ALARM: ${line}`);
      const advice = await partitionAdvice(this.dataSource, this.settings.partitionEvents);
      if (advice) this.log.warn(advice);
    } catch (error) {
      this.log.debug(`The mirror could not be looked after: ${(error as Error).message}`);
    }
  }

  private async connectDatabase(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.dataSource.isInitialized) {
      try {
        await this.dataSource.initialize();
      } catch (error) {
        for (const state of this.states) state.lastError = `No database: ${(error as Error).message}`;
        this.log.warn(`The database is out of reach: ${(error as Error).message}`);
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    }
  }
}

function statusOf(phases: readonly string[], failing: boolean): Health['status'] {
  if (failing || phases.includes('stopped')) return 'degraded';
  if (phases.includes('connecting') || phases.includes('catching-up')) return 'starting';
  return phases.includes('standby') ? 'standby' : 'ready';
}
