import { spawn } from 'node:child_process';
import { access, constants, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/** What takes a line of progress for a person to read. */
export interface Logger {
  info(message: string): void;
  warn(message: string): void;
}

/** Runs a program to its end. `output` is stdout and stderr as they came. @throws Error when it can't start or takes too long */
export function run(
  command: string,
  args: string[],
  options: {
    env?: NodeJS.ProcessEnv;
    cwd?: string;
    timeoutMs: number;
    onLine?: (line: string) => void;
    signal?: AbortSignal;
  },
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const { cwd, env = process.env } = options;
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let rest = '';
    const take = (chunk: Buffer) => {
      const text = chunk.toString('utf8');
      output = (output + text).slice(-200_000);
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.trim()) options.onLine?.(line.trim());
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const giveUp = () => child.kill('SIGTERM');
    options.signal?.addEventListener('abort', giveUp, { once: true });
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`${command} ${args[0] ?? ''} took longer than ${options.timeoutMs / 1000} s`));
    }, options.timeoutMs);
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', giveUp);
      resolve({ code, output });
    });
  });
}

/** Every executable of this name on the PATH, the first first. */
export async function onPath(name: string, env: NodeJS.ProcessEnv): Promise<string[]> {
  const found: string[] = [];
  // Where the Go installer puts itself is often missing from the PATH of a service or a cron job.
  const extra = name === 'go' ? ['/usr/local/go/bin'] : [];
  for (const directory of [...(env.PATH ?? '').split(delimiter), ...extra]) {
    if (directory && (await isExecutable(join(directory, name)))) found.push(join(directory, name));
  }
  return found;
}

export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
