import { readFile } from 'node:fs/promises';
import { type ManagedProcess, startProcess, stopLeftover } from '../geth/child-process.js';
import type { Logger } from '../geth/program.js';

export interface ServiceOptions {
  title: string;
  /** Node script and its arguments */
  args: string[];
  /** asked again at each start, where it is a function */
  env: Record<string, string> | (() => Record<string, string>);
  /** pause between starts at most, while it keeps ending (default 10,000 ms) */
  longestBackoffMs?: number;
  /** told when it ended unasked */
  onEnd?: (end: { code: number | null; signal: NodeJS.Signals | null }) => void;
  cwd: string;
  logFile: string;
  pidFile: string;
  /** answers 200 once the service is of use */
  readyUrl: string;
  logger: Logger;
  /**
   * MiB of each half of V8's space for new objects (default 64): a request's garbage is gone before it would be copied. Some memory for
   * some CPU.
   */
  youngGenerationMb?: number;
}

/** A program that is started again whenever it ends unasked. */
export interface Service {
  title: string;
  pid(): number;
  /** @throws Error with the end of its log when it keeps ending, or isn't ready in time */
  ready(timeoutMs?: number): Promise<void>;
  /** asks it to end, and waits */
  stop(): Promise<void>;
}

/** `youngGenerationMb` of a gateway: with more, a collection copies its clients' acts less often, but stops all of them for longer. */
export const GATEWAY_YOUNG_GENERATION_MB = 32;
const FIRST_BACKOFF_MS = 200;
const LONGEST_BACKOFF_MS = 10_000;
const STEADY_MS = 30_000;
/** ends before it was ready this often: it won't become ready */
const HOPELESS = 3;

export async function startService(options: ServiceOptions): Promise<Service> {
  const { title, logger } = options;
  if (await stopLeftover(options.pidFile, options.args[0] ?? '')) logger.info(`stopped ${title} of an earlier start`);
  let stopping = false;
  let ends = 0;
  let wasReady = false;
  let wake: () => void = () => {};
  const { PATH, HOME } = process.env;
  const launch = (): ManagedProcess =>
    startProcess({
      command: process.execPath,
      args: ['--enable-source-maps', `--max-semi-space-size=${options.youngGenerationMb ?? 64}`, ...options.args],
      env: { PATH, HOME, TZ: 'UTC', ...(typeof options.env === 'function' ? options.env() : options.env) },
      cwd: options.cwd,
      logFile: options.logFile,
      pidFile: options.pidFile,
    });
  let current = launch();

  const watching = (async () => {
    for (let backoff = FIRST_BACKOFF_MS; !stopping; ) {
      const since = Date.now();
      const { code, signal } = await current.ended;
      if (stopping) return;
      ends += 1;
      options.onEnd?.({ code, signal });
      if (Date.now() - since > STEADY_MS) backoff = FIRST_BACKOFF_MS;
      if (wasReady) logger.warn(`${title} ended (${signal ?? `code ${code}`}); starting it again`);
      const pause = backoff;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pause);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      backoff = Math.min(backoff * 2, options.longestBackoffMs ?? LONGEST_BACKOFF_MS);
      if (!stopping) current = launch();
    }
  })();

  return {
    title,
    pid: () => current.pid,
    ready: async (timeoutMs = 60_000) => {
      for (const deadline = Date.now() + timeoutMs; ; ) {
        if (await answers(options.readyUrl)) {
          wasReady = true;
          return;
        }
        if (!wasReady && ends >= HOPELESS) throw new Error(`${title} keeps ending:\n${await endOf(options.logFile)}`);
        if (Date.now() > deadline) {
          throw new Error(`${title} is not ready after ${timeoutMs / 1000} s:\n${await endOf(options.logFile)}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    stop: async () => {
      stopping = true;
      wake();
      await current.stop(20_000);
      await watching;
    },
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

async function endOf(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return `${text.split('\n').slice(-25).join('\n').trim()}\n(${file})`;
}
