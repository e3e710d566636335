import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { RemoteSignerOptions } from '../../libs/chain-client/src/keys/remote.signer.js';
import type { NewOperation } from '../../libs/chain-client/src/submission/operation.types.js';
import type { SubmissionSettings } from '../../libs/chain-client/src/submission/submission.js';

/** What a writer process is told. */
export interface WriterJob
  extends Pick<SubmissionSettings, 'databaseUrl' | 'queueUrl' | 'hospitalId' | 'networks' | 'failpoint' | 'limits'> {
  /** Private keys by network name. */
  relayerKeys: Record<string, Buffer[]>;
  /** Beside those. */
  remoteSigners?: Record<string, RemoteSignerOptions[]>;
  acts: NewOperation[];
}

export interface Writer {
  pid: number;
  kill(): void;
  /** Exit code, or the signal that ended it. */
  ended: Promise<number | string>;
}

export function startWriter(job: WriterJob): Writer {
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  const child = spawn(process.execPath, ['--import', here('../stack/typescript.mjs'), here('./writer.child.ts')], {
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  child.stdin.on('error', () => undefined); // killed before it had read its job: `ended` tells
  child.stdin.end(JSON.stringify(job, replacer));
  const ended = new Promise<number | string>((resolve) =>
    child.on('exit', (code, signal) => resolve(signal ?? code ?? -1)),
  );
  return { pid: child.pid!, kill: () => void child.kill('SIGKILL'), ended };
}

// JSON.stringify calls Buffer.toJSON before the replacer, hence the look at `this`.
function replacer(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const original = this[key];
  if (Buffer.isBuffer(original)) return { $bytes: original.toString('base64') };
  if (typeof original === 'bigint') return { $int: String(original) };
  return value;
}

export function revive(json: string): unknown {
  return JSON.parse(json, (_key, value) => {
    if (typeof value?.$bytes === 'string') return Buffer.from(value.$bytes, 'base64');
    if (typeof value?.$int === 'string') return BigInt(value.$int);
    return value;
  });
}
