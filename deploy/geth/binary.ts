import { spawn } from 'node:child_process';
import { access, constants, mkdir, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { takeLock } from './process-lock.js';

/** What takes a line of progress for a person to read. */
export interface Logger {
  info(message: string): void;
  warn(message: string): void;
}

export interface Binary {
  path: string;
  version: string;
}

export type GethBinary = Binary;

/** The operational default: the last release that seals Clique. */
export const GETH_VERSION = '1.13.15';

/** A program of the go-ethereum module, and which releases of it serve. */
interface Tool {
  name: 'geth' | 'clef';
  /** names one in the environment */
  variable: 'GETH_BIN' | 'CLEF_BIN';
  /** what one that doesn't serve can't do */
  purpose: string;
  serves(version: string): boolean;
  version(path: string): Promise<string | undefined>;
}

/** Folder for what is built or downloaded once: $EMR_CACHE_DIR, else $XDG_CACHE_HOME/emr-gateway, else ~/.cache/emr-gateway. */
export function cacheDirectory(env: NodeJS.ProcessEnv): string {
  return env.EMR_CACHE_DIR || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'emr-gateway');
}

/**
 * Whether this release can seal Clique and has what the stack calls: 1.10.20 brought `debug_getRawBlock` and the
 * authrpc flags, 1.14 lost Clique.
 */
export function canSealClique(version: string): boolean {
  const match = /^(\d+)\.(\d+)\.(\d+)/.exec(version);
  if (!match) return false;
  const [major, minor, patch] = match.slice(1).map(Number) as [number, number, number];
  if (major !== 1) return false;
  return minor === 10 ? patch >= 20 : minor >= 11 && minor <= 13;
}

/** Release of a geth binary, such as "1.13.15"; undefined when it doesn't run or isn't geth. */
export function gethVersion(path: string): Promise<string | undefined> {
  return versionOf(path, ['version'], /^Version:\s*(\d+\.\d+\.\d+)/m);
}

async function versionOf(path: string, args: string[], pattern: RegExp): Promise<string | undefined> {
  const result = await run(path, args, { timeoutMs: 15_000 }).catch(() => undefined);
  return result?.code === 0 ? pattern.exec(result.output)?.[1] : undefined;
}

const GETH: Tool = {
  ...{ name: 'geth', variable: 'GETH_BIN', purpose: 'seal Clique' },
  serves: canSealClique,
  version: gethVersion,
};

/** The signer of the same module. What it does for us, signing a legacy transaction, it has done since 1.10. */
const CLEF: Tool = {
  ...{ name: 'clef', variable: 'CLEF_BIN', purpose: 'sign for us' },
  serves: (version) => /^1\.[1-9]\d\./.test(version),
  version: (path) => versionOf(path, ['--version'], /^Clef version (\d+\.\d+\.\d+)/m),
};

export interface FindOptions {
  env: NodeJS.ProcessEnv;
  logger: Logger;
  /** false: only look, never build */
  build?: boolean;
  /** gives a build up */
  signal?: AbortSignal;
}

/**
 * A geth that can seal Clique: $GETH_BIN, `geth` on the PATH, the cached build, else one made with the Go toolchain.
 * @returns undefined when there is none and none can be built; the reason has been logged
 * @throws the reason of `signal`, when that ends a build
 */
export function findGeth(options: FindOptions): Promise<GethBinary | undefined> {
  return find(GETH, options);
}

/** A clef, to try an external signer with: $CLEF_BIN, else as `findGeth`. */
export function findClef(options: FindOptions): Promise<Binary | undefined> {
  return find(CLEF, options);
}

async function find(tool: Tool, options: FindOptions): Promise<Binary | undefined> {
  const { env, logger } = options;
  const { name, variable } = tool;
  const named = env[variable];
  const cached = join(cacheDirectory(env), `${name}-${GETH_VERSION}`, name);
  const candidates = [
    ...(named ? [{ path: named, title: variable }] : []),
    ...(await onPath(name, env)).map((path) => ({ path, title: `the ${name} on the PATH` })),
    { path: cached, title: `the cached ${name}` },
  ];
  for (const { path, title } of candidates) {
    if (!(await isExecutable(path))) {
      if (title === variable) logger.warn(`${variable} is not an executable file: ${path}`);
      continue;
    }
    const version = await tool.version(path);
    if (version && tool.serves(version)) return { path, version };
    logger.warn(
      `${title} (${path}) is ${version ? `version ${version}, which can't` : `no ${name} that could`} ${tool.purpose}`,
    );
  }
  if (options.build === false) return undefined;
  return buildTool(tool, cached, env, logger, options.signal);
}

/** One of those programs, made with the Go toolchain: once, by one process. Undefined when that can't be; the reason has been logged. */
async function buildTool(
  tool: Tool,
  target: string,
  env: NodeJS.ProcessEnv,
  logger: Logger,
  signal?: AbortSignal,
): Promise<Binary | undefined> {
  const { name } = tool;
  const [go] = await onPath('go', env);
  if (!go) {
    logger.warn(`no ${name} that can ${tool.purpose}, and no Go toolchain to build ${name} ${GETH_VERSION} with`);
    return undefined;
  }
  const goVersion = /go(\d+)\.(\d+)/.exec((await run(go, ['version'], { timeoutMs: 30_000 })).output);
  // From Go 1.23 the linker refuses a reference geth 1.13 makes into the runtime; before, the flag is unknown.
  const flags =
    Number(goVersion?.[2] ?? 0) >= 23 || Number(goVersion?.[1] ?? 1) > 1 ? ['-ldflags=-checklinkname=0'] : [];

  await mkdir(join(target, '..', '..'), { recursive: true });
  return withBuildLock(`${join(target, '..')}.lock`, name, logger, signal, async () => {
    const already = (await isExecutable(target)) ? await tool.version(target) : undefined;
    if (already) return { path: target, version: already };

    logger.info(`building ${name} ${GETH_VERSION} with ${go}: once, it takes a minute or two`);
    const partial = `${join(target, '..')}.partial-${process.pid}`;
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    const started = Date.now();
    let packages = 0;
    let lastLine = '';
    const tick = setInterval(() => {
      const seconds = Math.round((Date.now() - started) / 1000);
      logger.info(`building ${name} ${GETH_VERSION}: ${packages} packages compiled, ${seconds} s`);
    }, 5_000);
    const module = `github.com/ethereum/go-ethereum/cmd/${name}@v${GETH_VERSION}`;
    try {
      const result = await run(go, ['install', '-v', '-trimpath', ...flags, module], {
        // go says "cannot install, GOBIN must be an absolute path" otherwise; other settings (proxy, cache) stay the user's
        env: { ...env, GOBIN: partial, GOFLAGS: env.GOFLAGS ?? '', GO111MODULE: 'on' },
        timeoutMs: 30 * 60_000,
        signal,
        onLine: (line) => {
          lastLine = line;
          if (/^[\w.-]+(\/[\w.@-]+)*$/.test(line)) packages += 1;
        },
      });
      signal?.throwIfAborted();
      if (result.code !== 0) {
        logger.warn(`${name} could not be built: ${lastLine || `go ended with ${result.code}`}`);
        return undefined;
      }
      await rm(join(target, '..'), { recursive: true, force: true });
      await rename(partial, join(target, '..'));
    } finally {
      clearInterval(tick);
      await rm(partial, { recursive: true, force: true });
    }
    const version = await tool.version(target);
    if (!version) {
      logger.warn(`the ${name} just built does not run: ${target}`);
      return undefined;
    }
    logger.info(`${name} ${version} built in ${Math.round((Date.now() - started) / 1000)} s: ${target}`);
    return { path: target, version };
  });
}

/** Only one process builds; the others wait for it. */
async function withBuildLock<T>(
  file: string,
  name: string,
  logger: Logger,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  for (let said = false; ; ) {
    const lock = takeLock(file);
    if (lock.holder === undefined) return work().finally(lock.release);
    if (!said) logger.info(`process ${lock.holder} is building ${name}; waiting for it`);
    said = true;
    await new Promise((resolve) => setTimeout(resolve, 500));
    signal?.throwIfAborted();
  }
}

async function onPath(name: string, env: NodeJS.ProcessEnv): Promise<string[]> {
  const found: string[] = [];
  // Where the Go installer puts itself is often missing from the PATH of a service or a cron job.
  const extra = name === 'go' ? ['/usr/local/go/bin'] : [];
  for (const directory of [...(env.PATH ?? '').split(delimiter), ...extra]) {
    if (directory && (await isExecutable(join(directory, name)))) found.push(join(directory, name));
  }
  return found;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** Runs a program to its end. `output` is stdout and stderr as they came. @throws Error when it can't start or takes too long */
export function run(
  command: string,
  args: string[],
  options: { env?: NodeJS.ProcessEnv; timeoutMs: number; onLine?: (line: string) => void; signal?: AbortSignal },
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: options.env ?? process.env, stdio: ['ignore', 'pipe', 'pipe'] });
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
