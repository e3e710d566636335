import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { takeLock } from './process-lock.js';
import { type Logger, onPath, run } from './program.js';
import type { Release } from './releases.js';

const MODULE = 'github.com/ethereum/go-ethereum';
const PATIENCE_MS = 30 * 60_000;

export interface Build {
  /** the program's folder below `cmd/` in the module, and its name */
  name: 'geth' | 'clef';
  release: Release;
  /** where the program is to be: a file in a folder of its own */
  target: string;
  /** whether what is at `target` will do: another process may have made it while we waited */
  isThere(): Promise<boolean>;
  env: NodeJS.ProcessEnv;
  logger: Logger;
  /** gives the build up */
  signal?: AbortSignal | undefined;
}

/**
 * Makes a program of the go-ethereum module with the Go toolchain: once, by one process, while others wait for it.
 *
 * The module is downloaded and its hash held against the pinned one. Then it is built inside its own folder, where Go holds every
 * dependency against the module's go.sum (`go install PROGRAM@VERSION` would ask a checksum server instead, if one is configured at all).
 * @returns whether it was made; if not, the reason has been logged
 * @throws the reason of `signal`
 */
export async function build({ name, release, target, isThere, env, logger, signal }: Build): Promise<boolean> {
  const title = `${name} ${release.version}`;
  const [go] = await onPath('go', env);
  if (!go) {
    logger.warn(`no ${name} that can ${release.purpose}, and no Go toolchain to build ${title} with`);
    return false;
  }
  const folder = join(target, '..');
  await mkdir(join(folder, '..'), { recursive: true });
  return withBuildLock(`${folder}.lock`, name, logger, signal, async () => {
    if (await isThere()) return true;
    logger.info(`building ${title} with ${go}: once, it takes a minute or two`);
    const partial = `${folder}.partial-${process.pid}`;
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    const started = Date.now();
    let packages = 0;
    let lastLine = '';
    const tick = setInterval(() => {
      const seconds = Math.round((Date.now() - started) / 1000);
      logger.info(`building ${title}: ${packages} packages compiled, ${seconds} s`);
    }, 5_000);
    try {
      const source = await download(go, release, { env: goEnvironment(env), signal });
      const args = ['build', '-v', '-trimpath', '-mod=readonly', '-buildvcs=false', ...(await linkerFlags(go))];
      const result = await run(go, [...args, '-o', join(partial, name), `./cmd/${name}`], {
        env: goEnvironment(env),
        cwd: source,
        timeoutMs: PATIENCE_MS,
        signal,
        onLine: (line) => {
          lastLine = line;
          if (/^[\w.-]+(\/[\w.@-]+)*$/.test(line)) packages += 1;
        },
      });
      signal?.throwIfAborted();
      if (result.code !== 0) throw new Error(lastLine || `go ended with ${result.code}`);
      await rm(folder, { recursive: true, force: true });
      await rename(partial, folder);
    } catch (error) {
      signal?.throwIfAborted();
      logger.warn(`${name} could not be built: ${(error as Error).message}`);
      return false;
    } finally {
      clearInterval(tick);
      await rm(partial, { recursive: true, force: true });
    }
    logger.info(`${title} built in ${Math.round((Date.now() - started) / 1000)} s: ${target}`);
    return true;
  });
}

/** Proxy, caches and checksum server stay as the user has them. */
function goEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...env, GOFLAGS: env.GOFLAGS ?? '', GO111MODULE: 'on', GOWORK: 'off' };
}

/** @returns the folder of the module's source. @throws Error when it can't be had, or isn't what was pinned */
async function download(
  go: string,
  release: Release,
  options: { env: NodeJS.ProcessEnv; signal?: AbortSignal | undefined },
): Promise<string> {
  const wanted = `${MODULE}@v${release.version}`;
  const { code, output } = await run(go, ['mod', 'download', '-json', wanted], { ...options, timeoutMs: PATIENCE_MS });
  options.signal?.throwIfAborted();
  // Progress may stand before the answer.
  const json = /^\{[\s\S]*^\}/m.exec(output)?.[0];
  const answer: { Dir?: string; Sum?: string; Error?: string } = json ? JSON.parse(json) : {};
  if (code !== 0 || !answer.Dir) throw new Error(answer.Error ?? output.trim().split('\n').at(-1) ?? `no ${wanted}`);
  if (answer.Sum !== release.sum) {
    throw new Error(
      `the source of ${wanted} has the hash ${answer.Sum}, not ${release.sum}; it is not built. Look at GOPROXY, and run: go clean -modcache`,
    );
  }
  return answer.Dir;
}

/** From Go 1.23 the linker refuses a reference geth makes into the runtime; before, the flag is unknown. */
async function linkerFlags(go: string): Promise<string[]> {
  const version = /go(\d+)\.(\d+)/.exec((await run(go, ['version'], { timeoutMs: 30_000 })).output);
  const [major, minor] = [Number(version?.[1] ?? 1), Number(version?.[2] ?? 0)];
  return major > 1 || minor >= 23 ? ['-ldflags=-checklinkname=0'] : [];
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
