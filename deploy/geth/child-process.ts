import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** A long-running program of the stack, in a process group of its own. */
export interface ManagedProcess {
  pid: number;
  /** resolves when it has ended, however that came */
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  running(): boolean;
  /** asks it to end (SIGTERM) and waits; SIGKILL after `graceMs` */
  stop(graceMs?: number): Promise<void>;
  /** SIGKILL, as a crash would */
  kill(): Promise<void>;
}

const living = new Set<ChildProcess>();
// Whatever way this process ends by itself, it leaves nothing running. After a SIGKILL the pid files tell the next start.
process.on('exit', () => {
  for (const child of living) child.kill('SIGTERM');
});

let tied = false;
/**
 * For tests: a worker that is told to end, or whose parent is gone, takes its programs with it, instead of dying at once and
 * leaving them. (The stack itself stops them in order; see deploy/local/main.ts.)
 */
export function tieProcessesToUs(): void {
  if (tied) return;
  tied = true;
  const killAll = () => {
    for (const child of living) child.kill('SIGKILL');
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.once(signal, () => {
      killAll();
      process.kill(process.pid, signal); // our handler is gone: this time it ends us, unless somebody else has one
    });
  }
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) killAll();
  }, 1_000).unref();
}

/**
 * Starts a program detached (a Ctrl-C in the terminal reaches only us, who then stop things in order), its output
 * appended to `logFile`, its pid in `pidFile` while it runs.
 */
export function startProcess(options: {
  command: string;
  args: string[];
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  logFile: string;
  pidFile: string;
}): ManagedProcess {
  mkdirSync(dirname(options.logFile), { recursive: true });
  rotate(options.logFile);
  const log = openSync(options.logFile, 'a', 0o600);
  const child = spawn(options.command, options.args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  let running = true;
  living.add(child);
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    const end = (code: number | null, signal: NodeJS.Signals | null) => {
      running = false;
      living.delete(child);
      if (readPid(options.pidFile) === child.pid) rmSync(options.pidFile, { force: true });
      resolve({ code, signal });
    };
    child.once('exit', end);
    child.once('error', () => end(null, null)); // could not be started
  });
  const pid = child.pid ?? 0;
  if (pid > 0) writeFileSync(options.pidFile, `${pid}\n`);
  child.unref();
  return {
    pid,
    ended,
    running: () => running,
    stop: async (graceMs = 30_000) => {
      if (running) child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await ended;
      clearTimeout(timer);
    },
    kill: async () => {
      if (running) child.kill('SIGKILL');
      await ended;
    },
  };
}

/**
 * Stops what an earlier run that was killed has left behind.
 * @param mark text its command line must contain, so that a pid in use by somebody else by now is left alone
 * @returns whether there was something to stop
 */
export async function stopLeftover(pidFile: string, mark: string, graceMs = 20_000): Promise<boolean> {
  const pid = readPid(pidFile);
  if (pid === undefined) return false;
  let stopped = false;
  if (commandLine(pid).includes(mark)) {
    stopped = true;
    const deadline = Date.now() + graceMs;
    process.kill(pid, 'SIGTERM');
    while (isAlive(pid)) {
      if (Date.now() > deadline) {
        process.kill(pid, 'SIGKILL');
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  rmSync(pidFile, { force: true });
  return stopped;
}

/** Whether a process runs under this id (a zombie doesn't count). */
export function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid < 1) return false; // 0 would mean our own group
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return process.platform !== 'linux';
  }
}

/** When a process started, in the system's own terms; '' when it isn't known. Two processes with one pid differ in it. */
export function processStart(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[19] ?? '';
  } catch {
    return ps('lstart=', pid).trim();
  }
}

/** A process's command line, '' when there is none. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    // no /proc: macOS
  }
  return ps('command=', pid);
}

function ps(column: string, pid: number): string {
  try {
    return execFileSync('ps', ['-o', column, '-p', String(pid)], { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
  } catch {
    return '';
  }
}

function readPid(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, 'utf8').trim());
    return Number.isSafeInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps one older log, so that a program restarted for months doesn't fill the disk. */
function rotate(file: string): void {
  try {
    if (statSync(file).size > 16 * 1024 * 1024) renameSync(file, `${file}.1`);
  } catch {
    // no log yet
  }
}
