import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../deploy/geth/ports.js';
import { projectRoot } from '../../deploy/local/layout.js';

/** A chain to be followed, as NETWORKS_FILE names it. */
export interface FollowedChain {
  rpcUrl: string;
  chainId: bigint;
  genesisHash: string;
  contract: string;
  startBlock: bigint;
  /** tip − block + 1 from which a block is final */
  finalityDepth: number;
}

interface NetworkHealth {
  phase: string;
  cursor?: { number: string };
  lag?: string;
  stoppedReason?: string;
  lastError?: string;
}

const PATIENCE_MS = 30 * 60_000;

/** The indexer as operators run it: a process of its own, configured by its environment alone. */
export class IndexerUnderTest {
  private port = 0;
  private output = '';
  private child: ChildProcess | undefined;

  constructor(
    private readonly given: {
      chain: FollowedChain;
      databaseUrl: string;
      dir: string;
      signal: AbortSignal;
      env?: Record<string, string>;
    },
  ) {}

  /** Starts it; it answers before it follows. */
  async start(): Promise<void> {
    const { chain, databaseUrl, dir, env } = this.given;
    this.port = await freePort();
    this.output = '';
    const networksFile = join(dir, 'networks.json');
    const entry = {
      ...{ name: 'bench', chainId: `${chain.chainId}`, rpc: chain.rpcUrl, contract: chain.contract },
      ...{ startBlock: `${chain.startBlock}`, genesisHash: chain.genesisHash, finalityDepth: chain.finalityDepth },
    };
    writeFileSync(networksFile, JSON.stringify({ local: 'bench', global: 'bench', networks: [entry] }));
    const main = join(projectRoot, 'dist', 'apps', 'indexer', 'src', 'main.js');
    const { PATH = '' } = process.env;
    this.child = spawn(process.execPath, [main], {
      cwd: projectRoot,
      env: {
        ...{ PATH, DATABASE_URL: databaseUrl, NETWORKS_FILE: networksFile },
        ...{ MANAGEMENT_PORT: `${this.port}`, LOG_LEVEL: 'warn', ...env },
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on('data', (data: Buffer) => {
        this.output = (this.output + data.toString()).slice(-10_000);
      });
    }
  }

  /** @throws Error when it ended, stopped following, or doesn't get there in half an hour; the signal's reason */
  async until(reached: (network: NetworkHealth, status: string) => boolean, pollMs = 5): Promise<void> {
    for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline; await sleep(pollMs)) {
      this.given.signal.throwIfAborted();
      if (this.child?.exitCode !== null) throw new Error(`the indexer ended:\n${this.output}`);
      const health = await this.health();
      const network = health?.networks.bench;
      if (network === undefined || health === undefined) continue;
      if (network.stoppedReason !== undefined) throw new Error(`the indexer stopped: ${network.stoppedReason}`);
      if (reached(network, health.status)) return;
    }
    throw new Error(`the indexer did not get there:\n${this.output}`);
  }

  /** Highest resident memory since its start, MiB; undefined where there is no /proc. */
  get peakRssMb(): number | undefined {
    try {
      const status = readFileSync(`/proc/${this.child?.pid}/status`, 'utf8');
      return Math.round(Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1024);
    } catch {
      return undefined;
    }
  }

  /** CPU used since its start; undefined where there is no /proc. */
  get cpuSeconds(): number | undefined {
    try {
      // Fields 14 and 15, user and system time in ticks of 10 ms, counted behind the program's name.
      const fields = readFileSync(`/proc/${this.child?.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      return (Number(fields[11]) + Number(fields[12])) / 100;
    } catch {
      return undefined;
    }
  }

  /** Stops it in its tracks, as a machine that swaps would, until `resume`. */
  pause(): void {
    this.child?.kill('SIGSTOP');
  }

  resume(): void {
    this.child?.kill('SIGCONT');
  }

  kill(): Promise<void> {
    return this.end('SIGKILL');
  }

  stop(): Promise<void> {
    return this.end('SIGTERM');
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  private async health(): Promise<{ status: string; networks: Record<string, NetworkHealth> } | undefined> {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.port}/health/ready`);
      return (await answer.json()) as { status: string; networks: Record<string, NetworkHealth> };
    } catch {
      return undefined; // not listening yet
    }
  }
}
