import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { encryptKeystoreJson, getAddress } from 'ethers';
import { type Binary, findClef } from '../../deploy/geth/binary.js';
import { freePort } from '../../deploy/geth/ports.js';
import { addressOf } from '../../libs/chain-client/src/keys/secp256k1.js';
import { connectRpc } from '../../libs/chain-client/src/rpc/transport.js';
import { toHex } from '../../libs/platform/src/bytes.js';

export interface TestClef {
  /** http://127.0.0.1:… */
  url: string;
  /** Path of its socket. */
  ipc: string;
  /** SIGKILL; its files stay. */
  kill(): Promise<void>;
  /** The same accounts on the same port, under other rules if told so. */
  restart(rules?: string): Promise<void>;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

export interface ClefSettings {
  keys: readonly Buffer[];
  chainId: bigint;
  /** JavaScript that defines ApproveTx; see `approving`. */
  rules: string;
  /** False: it holds no password of the accounts, and asks a person for it who never comes. Default true. */
  unlocked?: boolean;
}

const MASTER = 'a master password';
const ACCOUNT = 'a password of the accounts';

/** The clef the tests use, never built by them; undefined where there is none. */
export function testClef(): Promise<Binary | undefined> {
  return findClef({ env: process.env, logger: { info: () => {}, warn: () => {} }, build: false });
}

/** What a hospital would have it approve: calls of its ledger without value, and nothing else. */
export function approving(ledger: string): string {
  return `function ApproveTx(request) {
    var call = request.transaction;
    var ours = call.to !== null && call.to.toLowerCase() === '${ledger.toLowerCase()}' && Number(call.value) === 0;
    return ours ? 'Approve' : 'Reject';
  }`;
}

export const refusing = `function ApproveTx() { return 'Reject'; }`;

/** A clef with accounts of `keys`, which signs by its rules without asking anybody. It listens on loopback and on a socket. */
export async function startClef(binary: Binary, settings: ClefSettings): Promise<TestClef> {
  const dir = await mkdtemp(join(tmpdir(), 'emr-clef-'));
  const [config, keystore] = [join(dir, 'config'), join(dir, 'keystore')];
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  // It takes a folder for this, and names the socket itself.
  const ipc = join(dir, 'clef.ipc');
  const common = ['--suppress-bootwarn', '--configdir', config];
  // It reads what it would ask a person for from its standard input, a line for each question.
  const command = (args: string[], ...answers: string[]) => runClef(binary.path, [...common, ...args], dir, answers);

  await mkdir(keystore);
  for (const key of settings.keys) await writeAccount(keystore, key);
  await command(['--lightkdf', 'init'], MASTER, MASTER);
  if (settings.unlocked ?? true) {
    for (const key of settings.keys) await command(['setpw', toHex(addressOf(key))], ACCOUNT, ACCOUNT, MASTER);
  }

  let child: ChildProcess | undefined;
  const stopChild = async () => {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const ended = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGKILL');
    await ended;
  };
  const launch = async (rules: string) => {
    const file = join(dir, 'rules.js');
    await writeFile(file, rules);
    await command(['attest', createHash('sha256').update(rules).digest('hex')], MASTER);
    const args = [
      '--chainid',
      String(settings.chainId),
      '--keystore',
      keystore,
      '--rules',
      file,
      '--nousb',
      '--auditlog',
      '',
    ];
    const listen = ['--http', '--http.addr', '127.0.0.1', '--http.port', String(port), '--ipcpath', dir];
    const started = spawn(binary.path, [...common, ...args, ...listen], {
      cwd: dir,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    started.stdin!.on('error', () => undefined); // ended before it asked: `untilReady` tells
    started.stdin!.write(`${MASTER}\n`);
    process.once('exit', () => started.kill('SIGKILL'));
    child = started;
    await untilReady(url, started);
  };
  const clef: TestClef = {
    url,
    ipc,
    kill: stopChild,
    async restart(rules = settings.rules) {
      await stopChild();
      await launch(rules);
    },
    async stop() {
      await stopChild();
      await rm(dir, { recursive: true, force: true });
    },
  };
  await launch(settings.rules).catch(async (error) => {
    await clef.stop();
    throw error;
  });
  return clef;
}

/** A keystore file that opens quickly: clef stretches the password for every signature anew. */
async function writeAccount(folder: string, key: Buffer): Promise<void> {
  const account = { address: getAddress(toHex(addressOf(key))), privateKey: toHex(key) };
  const json = await encryptKeystoreJson(account, ACCOUNT, { scrypt: { N: 1 << 12, r: 8, p: 1 } });
  await writeFile(join(folder, `${account.address}.json`), json, { mode: 0o600 });
}

async function runClef(path: string, args: string[], cwd: string, answers: string[]): Promise<void> {
  const child = spawn(path, args, { cwd, stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stdin.on('error', () => undefined); // ended before it read all: its exit code tells
  child.stdin.end(answers.map((answer) => `${answer}\n`).join(''));
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`clef ${args.at(-1)} ended with ${code}: ${said.slice(-500)}`);
}

async function untilReady(url: string, child: ChildProcess): Promise<void> {
  const rpc = connectRpc(url, { timeoutMs: 1_000 });
  try {
    for (const end = Date.now() + 20_000; Date.now() < end; ) {
      if (child.exitCode !== null) throw new Error(`clef ended with ${child.exitCode} before it listened`);
      const version = await rpc.request('account_version').catch(() => undefined);
      if (version !== undefined) return;
      await sleep(50);
    }
    throw new Error('clef did not listen within 20 s');
  } finally {
    await rpc.close();
  }
}
