import { homedir } from 'node:os';
import { join } from 'node:path';
import { build } from './build.js';
import { isExecutable, type Logger, onPath, run } from './program.js';
import { type Consensus, RELEASES, type Release } from './releases.js';

export interface Binary {
  path: string;
  version: string;
}

export type GethBinary = Binary;

/** A program of the go-ethereum module, and how it is known. */
interface Tool {
  name: 'geth' | 'clef';
  /** names one in the environment */
  variable: 'GETH_BIN' | 'GETH_POW_BIN' | 'CLEF_BIN';
  /** the one that is built, and what may stand in for it */
  release: Release;
  version(path: string): Promise<string | undefined>;
}

/** Folder for what is built or downloaded once: $EMR_CACHE_DIR, else $XDG_CACHE_HOME/emr-gateway, else ~/.cache/emr-gateway. */
export function cacheDirectory(env: NodeJS.ProcessEnv): string {
  return env.EMR_CACHE_DIR || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'emr-gateway');
}

/** Release of a geth binary, such as "1.13.15"; undefined when it doesn't run or isn't geth. */
export function gethVersion(path: string): Promise<string | undefined> {
  return versionOf(path, ['version'], /^Version:\s*(\d+\.\d+\.\d+)/m);
}

async function versionOf(path: string, args: string[], pattern: RegExp): Promise<string | undefined> {
  const result = await run(path, args, { timeoutMs: 15_000 }).catch(() => undefined);
  return result?.code === 0 ? pattern.exec(result.output)?.[1] : undefined;
}

const GETH: Record<Consensus, Tool> = {
  clique: { name: 'geth', variable: 'GETH_BIN', release: RELEASES.clique, version: gethVersion },
  pow: { name: 'geth', variable: 'GETH_POW_BIN', release: RELEASES.pow, version: gethVersion },
};

/** The signer of the same module. What it does for us, signing a legacy transaction, it has done since 1.10. */
const CLEF: Tool = {
  ...{ name: 'clef', variable: 'CLEF_BIN' },
  release: { ...RELEASES.clique, purpose: 'sign for us', serves: (version) => /^1\.[1-9]\d\./.test(version) },
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
 * A geth for networks of this consensus: $GETH_BIN ($GETH_POW_BIN for proof of work), `geth` on the PATH, the cached build, else one
 * made with the Go toolchain.
 * @returns undefined when there is none and none can be built; the reason has been logged
 * @throws the reason of `signal`, when that ends a build
 */
export function findGeth(options: FindOptions, consensus: Consensus = 'clique'): Promise<GethBinary | undefined> {
  return find(GETH[consensus], options);
}

/** A clef, to try an external signer with: $CLEF_BIN, else as `findGeth`. */
export function findClef(options: FindOptions): Promise<Binary | undefined> {
  return find(CLEF, options);
}

async function find(tool: Tool, options: FindOptions): Promise<Binary | undefined> {
  const { env, logger, signal } = options;
  const { name, variable, release } = tool;
  const named = env[variable];
  const cached = join(cacheDirectory(env), `${name}-${release.version}`, name);
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
    if (version && release.serves(version)) return { path, version };
    logger.warn(
      `${title} (${path}) is ${version ? `version ${version}, which can't` : `no ${name} that could`} ${release.purpose}`,
    );
  }
  if (options.build === false) return undefined;
  const isThere = async () => (await isExecutable(cached)) && (await tool.version(cached)) !== undefined;
  if (!(await build({ name, release, target: cached, isThere, env, logger, signal }))) return undefined;
  const version = await tool.version(cached);
  if (version) return { path: cached, version };
  logger.warn(`the ${name} just built does not run: ${cached}`);
  return undefined;
}
