import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** First second of the test chain's time; each block is one second after the one before. */
export const GENESIS_TIME = 1_800_000_000;

export interface Anvil {
  request<T>(method: string, ...params: unknown[]): Promise<T>;
  stop(): Promise<void>;
}

/** Anvil's program for this platform: its npm package holds it. Undefined where there is none. */
export function findAnvil(): string | undefined {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const name = `@foundry-rs/anvil-${process.platform}-${architecture}/package.json`;
  try {
    const file = join(dirname(createRequire(import.meta.url).resolve(name)), 'bin/anvil');
    return existsSync(file) ? file : undefined;
  } catch {
    return undefined;
  }
}

/** A chain in memory with the rules the real networks have (Berlin, gas price 0), sealing each transaction as it comes. */
export async function startAnvil(): Promise<Anvil> {
  const program = findAnvil();
  if (!program) throw new Error(`there is no Anvil for ${process.platform}-${process.arch}`);
  const options = ['--port', '0', '--hardfork', 'berlin', '--chain-id', '80', '--gas-limit', '60000000'];
  const child = spawn(program, [...options, '--timestamp', String(GENESIS_TIME)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const url = await listening(child);
  let id = 0;
  const request = async <T>(method: string, ...params: unknown[]): Promise<T> => {
    id += 1;
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id, method, params }),
    });
    const answer = (await response.json()) as { result: T; error?: { message: string; data?: unknown } };
    if (answer.error) throw Object.assign(new Error(`${method}: ${answer.error.message}`), { data: answer.error.data });
    return answer.result;
  };
  await request('anvil_setBlockTimestampInterval', 1);
  return {
    request,
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve());
        child.kill();
      }),
  };
}

function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
    const timer = setTimeout(() => {
      child.kill();
      reject(new Error(`Anvil didn't start:\n${output}`));
    }, 60_000);
    const read = (chunk: Buffer) => {
      output += chunk.toString();
      const address = /Listening on (\S+)/.exec(output)?.[1];
      if (!address) return;
      clearTimeout(timer);
      resolve(`http://${address}`);
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`Anvil ended with ${code}:\n${output}`));
    });
  });
}
