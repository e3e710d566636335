import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface ChildOptions {
  env?: NodeJS.ProcessEnv;
  timeoutMs: number;
  /** Show the output as it comes (default), or only keep it. */
  quiet?: boolean;
}

export interface ChildResult {
  /** Undefined when a signal ended it. */
  code: number | undefined;
  /** stdout and stderr as they came, the last 4 million characters. */
  output: string;
  timedOut: boolean;
}

const KEPT = 4_000_000;

/**
 * Runs a program to its end, its output streamed to our terminal and kept. It gets a process group of its own, so that what it started
 * ends with it when it takes too long or when we are told to end.
 */
export async function runChild(command: string, args: string[], options: ChildOptions): Promise<ChildResult> {
  const child = spawn(command, args, {
    env: options.env ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  let timedOut = false;
  const take = (chunk: Buffer) => {
    output = (output + chunk.toString('utf8')).slice(-KEPT);
    if (!options.quiet) process.stdout.write(chunk);
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const end = (signal: NodeJS.Signals) => {
    try {
      if (child.pid) process.kill(-child.pid, signal);
    } catch {
      // the group is gone
    }
  };
  const timer = setTimeout(() => {
    timedOut = true;
    // In order first: runners stop the servers they started.
    end('SIGTERM');
    setTimeout(() => end('SIGKILL'), 20_000).unref();
  }, options.timeoutMs);
  const onSignal = (signal: NodeJS.Signals) => {
    end(signal);
    setTimeout(() => process.exit(signal === 'SIGINT' ? 130 : 143), 15_000).unref();
    child.once('close', () => process.exit(signal === 'SIGINT' ? 130 : 143));
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onSignal);
  try {
    return await new Promise<ChildResult>((done, fail) => {
      child.once('error', fail);
      // A grandchild that keeps the pipe open must not keep us waiting: 'exit', then a moment for what is still in the pipe.
      child.once('exit', (code) => {
        const finish = () => done({ code: code ?? undefined, output, timedOut });
        const late = setTimeout(finish, 3_000);
        child.once('close', () => {
          clearTimeout(late);
          finish();
        });
      });
    });
  } finally {
    clearTimeout(timer);
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onSignal);
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

/** The first executable of that name on the PATH. */
export function onPath(name: string, env: NodeJS.ProcessEnv): string | undefined {
  for (const folder of (env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      if (statSync(path).isFile()) return path;
    } catch {
      // not here
    }
  }
  return undefined;
}

/** Text without the escape sequences of colours. */
export function plain(text: string): string {
  return text.replace(new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*[A-Za-z]`, 'g'), '');
}
