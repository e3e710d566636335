import type { DataSource } from 'typeorm';
import { connectRpc } from '../../../libs/chain-client/src/rpc/transport.js';
import type { NetworkConfig } from '../../../libs/platform/src/networks.js';
import { NetworkRunner } from '../src/follow/network.runner.js';
import type { NetworkState } from '../src/follow/network.state.js';
import { RpcSource } from '../src/follow/rpc-source.js';
import { IndexerMetrics } from '../src/health/metrics.js';

/** A network followed in this process, with everything an operator would see of it. */
export class WatchedRunner {
  readonly metrics = new IndexerMetrics();
  readonly lines: string[] = [];
  private readonly transports;
  private readonly runner: NetworkRunner;
  private readonly stopping = new AbortController();
  private readonly running: Promise<void>;

  constructor(network: NetworkConfig, dataSource: DataSource) {
    const rpc = connectRpc(network.rpc);
    const witness = network.witness === undefined ? undefined : connectRpc(network.witness);
    this.transports = witness ? [rpc, witness] : [rpc];
    const write = (message: string) => void this.lines.push(message);
    this.runner = new NetworkRunner(network, {
      dataSource,
      source: new RpcSource(rpc),
      witness: witness && new RpcSource(witness),
      metrics: this.metrics,
      log: { log: write, warn: write, error: write },
      patience: { tries: 2, firstMs: 2, longestMs: 20, stoppedMs: 20, witnessMs: 50 },
    });
    this.metrics.observe([this.runner.state]);
    this.running = this.runner.run(this.stopping.signal);
  }

  get state(): NetworkState {
    return this.runner.state;
  }

  /** @throws Error with the last state and the log when it isn't reached in `timeoutMs` */
  async until(reached: (state: NetworkState) => boolean, timeoutMs = 30_000): Promise<void> {
    for (const deadline = Date.now() + timeoutMs; !reached(this.state); ) {
      if (Date.now() > deadline) {
        throw new Error(`not reached: ${JSON.stringify(this.state)}\n${this.lines.join('\n')}`);
      }
      await new Promise((wake) => setTimeout(wake, 3));
    }
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
    await Promise.all(this.transports.map((transport) => transport.close()));
  }
}
