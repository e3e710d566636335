import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../../deploy/geth/ports.js';

export interface NetworkEntry {
  name: string;
  chainId: number;
  rpcUrl: string;
  contract: string;
  genesisHash: string;
  startBlock: bigint;
  finalityDepth?: number;
  storeRawBlocks?: boolean;
}

export interface NetworkHealth {
  phase: string;
  cursor?: { number: string; hash: string };
  sequence?: string;
  finalNumber?: string;
  lag?: string;
  stoppedReason?: string;
  lastError?: string;
}

export interface HealthAnswer {
  status: string;
  networks: Record<string, NetworkHealth>;
}

/** Writes a NETWORKS_FILE; the last network is the global one. */
export async function writeNetworksFile(dir: string, networks: NetworkEntry[]): Promise<string> {
  const file = join(dir, 'networks.json');
  const entries = networks.map(({ rpcUrl, chainId, startBlock, ...rest }) => ({
    finalityDepth: 1,
    storeRawBlocks: true,
    ...rest,
    rpc: rpcUrl,
    chainId: `${chainId}`,
    startBlock: `${startBlock}`,
  }));
  const config = { local: networks[0]?.name, global: networks.at(-1)?.name, networks: entries };
  await writeFile(file, JSON.stringify(config));
  return file;
}

/** The indexer as a process of its own. */
export class IndexerProcess {
  private child: ChildProcess | undefined;
  private port = 0;
  /** What it wrote to its outputs since it was last started. */
  output = '';

  constructor(private readonly env: { main: string; databaseUrl: string; networksFile: string }) {}

  /** @param failpoint where it ends or pauses itself (libs/platform/src/failpoint.ts) */
  async start(failpoint = ''): Promise<void> {
    this.port = await freePort();
    this.output = '';
    const child = spawn(process.execPath, [this.env.main], {
      env: {
        PATH: process.env.PATH,
        DATABASE_URL: this.env.databaseUrl,
        NETWORKS_FILE: this.env.networksFile,
        MANAGEMENT_PORT: `${this.port}`,
        FAILPOINT: failpoint,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.on('data', (data: Buffer) => {
      this.output += data.toString();
    });
    child.stderr.on('data', (data: Buffer) => {
      this.output += data.toString();
    });
    this.child = child;
  }

  /** Waits until health satisfies `condition`. @throws Error with the last answer and the output when it doesn't within `timeoutMs` */
  async until(condition: (health: HealthAnswer) => boolean, timeoutMs = 30_000): Promise<HealthAnswer> {
    let last: HealthAnswer | undefined;
    for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; ) {
      if (this.child?.exitCode !== null) throw new Error(`the indexer ended:\n${this.output}`);
      last = (await this.health().catch(() => undefined)) ?? last;
      if (last && condition(last)) return last;
      await new Promise((wake) => setTimeout(wake, 20));
    }
    throw new Error(`not reached in ${timeoutMs} ms: ${JSON.stringify(last)}\n${this.output}`);
  }

  async health(): Promise<HealthAnswer> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/health/ready`);
    return (await answer.json()) as HealthAnswer;
  }

  async get(path: string): Promise<{ status: number; text: string }> {
    const answer = await fetch(`http://127.0.0.1:${this.port}${path}`);
    return { status: answer.status, text: await answer.text() };
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** SIGSTOP: it keeps its connections and does nothing. */
  pause(): void {
    this.child?.kill('SIGSTOP');
  }

  /** SIGCONT */
  wake(): void {
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
}
