import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cacheDirectory, findClef, findGeth } from './binary.js';
import { canMine, canSealClique, RELEASES } from './releases.js';

let dir: string;
const warnings: string[] = [];
const logger = { info: () => {}, warn: (line: string) => void warnings.push(line) };

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'emr-binary-'));
  warnings.length = 0;
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function fakeGeth(path: string, version: string): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, `#!/bin/sh\necho Geth\necho "Version: ${version}-stable"\n`);
  await chmod(path, 0o755);
  return path;
}

const look = (env: NodeJS.ProcessEnv) =>
  findGeth({ env: { PATH: '/usr/bin:/bin', EMR_CACHE_DIR: join(dir, 'cache'), ...env }, logger, build: false });

describe('which geth can seal Clique, and which can mine', () => {
  it.each([
    ['1.13.15', true, false],
    ['1.12.0', true, false],
    ['1.11.6', true, true],
    ['1.10.26', true, true],
    ['1.10.8', false, false],
    ['1.14.0', false, false],
    ['1.16.3', false, false],
    ['2.11.6', false, false],
    ['nonsense', false, false],
  ])('%s: %s, %s', (version, seals, mines) => {
    expect(canSealClique(version)).toBe(seals);
    expect(canMine(version)).toBe(mines);
  });
});

describe('finding a geth', () => {
  it('prefers GETH_BIN', async () => {
    const path = await fakeGeth(join(dir, 'mine', 'geth'), '1.13.14');
    await fakeGeth(join(dir, 'cache', 'geth-1.13.15', 'geth'), '1.13.15');
    expect(await look({ GETH_BIN: path })).toEqual({ path, version: '1.13.14' });
  });

  it('passes over one that is too new, says so, and takes the next', async () => {
    const path = await fakeGeth(join(dir, 'cache', 'geth-1.13.15', 'geth'), '1.13.15');
    await fakeGeth(join(dir, 'bin', 'geth'), '1.15.0');
    expect(await look({ PATH: `${join(dir, 'bin')}:/usr/bin:/bin` })).toEqual({ path, version: '1.13.15' });
    expect(warnings.join()).toContain('1.15.0');
  });

  it('passes over a program that is not geth', async () => {
    const path = join(dir, 'bin', 'geth');
    await mkdir(join(dir, 'bin'));
    await writeFile(path, '#!/bin/sh\nexit 1\n');
    await chmod(path, 0o755);
    expect(await look({ GETH_BIN: path })).toBeUndefined();
  });

  it('keeps the two consensuses apart', async () => {
    const clique = await fakeGeth(join(dir, 'cache', 'geth-1.13.15', 'geth'), '1.13.15');
    const pow = await fakeGeth(join(dir, 'cache', 'geth-1.11.6', 'geth'), '1.11.6');
    const env = { PATH: '/usr/bin:/bin', EMR_CACHE_DIR: join(dir, 'cache') };
    const options = { env, logger, build: false };
    expect(await findGeth(options)).toEqual({ path: clique, version: '1.13.15' });
    expect(await findGeth(options, 'pow')).toEqual({ path: pow, version: '1.11.6' });
    expect(await findGeth({ ...options, env: { ...env, GETH_POW_BIN: clique } }, 'pow')).toEqual({
      path: pow,
      version: '1.11.6',
    });
    expect(warnings.join()).toContain("1.13.15, which can't mine");
  });

  it('names GETH_BIN when it points at nothing', async () => {
    expect(await look({ GETH_BIN: join(dir, 'nowhere') })).toBeUndefined();
    expect(warnings.join()).toContain('GETH_BIN');
  });
});

describe('the cache folder', () => {
  it('follows EMR_CACHE_DIR, then XDG_CACHE_HOME', () => {
    expect(cacheDirectory({ EMR_CACHE_DIR: '/c', XDG_CACHE_HOME: '/x' })).toBe('/c');
    expect(cacheDirectory({ XDG_CACHE_HOME: '/x' })).toBe('/x/emr-gateway');
    expect(cacheDirectory({})).toMatch(/\.cache\/emr-gateway$/);
  });
});

describe('building a geth', () => {
  const pinned = RELEASES.clique.sum;
  /** A stand-in for Go: it answers for the module, and runs `script` when it is to build; the file to make is then $out. */
  const toolchain = async (script: string, sum = pinned) => {
    await mkdir(join(dir, 'bin'), { recursive: true });
    const answer = JSON.stringify({ Dir: dir, Sum: sum }, null, 2);
    const lines = [
      '#!/bin/sh',
      'if [ "$1" = version ]; then echo go version go1.24.1; exit 0; fi',
      `if [ "$1" = mod ]; then echo 'go: downloading'; echo '${answer}'; exit 0; fi`,
      'for each; do if [ "$last" = -o ]; then out="$each"; fi; last="$each"; done',
      script,
    ];
    await writeFile(join(dir, 'bin', 'go'), `${lines.join('\n')}\n`);
    await chmod(join(dir, 'bin', 'go'), 0o755);
    return { PATH: `${join(dir, 'bin')}:/usr/bin:/bin`, EMR_CACHE_DIR: join(dir, 'cache') };
  };
  const geth = `printf '#!/bin/sh\\necho Version: 1.13.15-stable\\n' > "$out"; chmod +x "$out"`;

  it('puts it into the cache once, in the folder of the source, held against its go.sum', async () => {
    const env = await toolchain(`echo "$PWD $@" >> ${dir}/calls; ${geth}`);
    const path = join(dir, 'cache', 'geth-1.13.15', 'geth');
    const both = await Promise.all([findGeth({ env, logger }), findGeth({ env, logger })]);
    expect(both).toEqual([
      { path, version: '1.13.15' },
      { path, version: '1.13.15' },
    ]);
    const calls = (await readFile(join(dir, 'calls'), 'utf8')).trim().split('\n');
    expect(calls).toHaveLength(1);
    expect(calls[0]).toContain(`${dir} build -v -trimpath -mod=readonly`);
    expect(calls[0]).toContain('-ldflags=-checklinkname=0');
    expect(calls[0]).toMatch(/ \.\/cmd\/geth$/);
  });

  it('refuses a source that is not the one that was pinned', async () => {
    const env = await toolchain(`echo "$@" >> ${dir}/calls; ${geth}`, `h1:${'A'.repeat(43)}=`);
    expect(await findGeth({ env, logger })).toBeUndefined();
    expect(warnings.join()).toContain(`not ${pinned}`);
    await expect(readFile(join(dir, 'calls'))).rejects.toThrow('ENOENT');
    expect(await readdir(join(dir, 'cache'))).toEqual([]);
  });

  it('makes a clef from the same module', async () => {
    const clef = `printf '#!/bin/sh\\necho Clef version 1.13.15-stable\\n' > "$out"; chmod +x "$out"`;
    const env = await toolchain(`echo "$@" >> ${dir}/calls; ${clef}`);
    const path = join(dir, 'cache', 'clef-1.13.15', 'clef');
    expect(await findClef({ env, logger })).toEqual({ path, version: '1.13.15' });
    expect(await readFile(join(dir, 'calls'), 'utf8')).toContain('./cmd/clef');
    // An older one on the PATH is passed over; what was built is found again.
    await writeFile(join(dir, 'bin', 'clef'), '#!/bin/sh\necho Clef version 1.9.25-stable\n', { mode: 0o755 });
    expect(await findClef({ env, logger, build: false })).toEqual({ path, version: '1.13.15' });
    expect(warnings.join()).toContain("1.9.25, which can't sign");
  });

  it('that fails leaves nothing behind and says why', async () => {
    const env = await toolchain('echo "no space left" >&2; exit 1');
    expect(await findGeth({ env, logger })).toBeUndefined();
    expect(warnings.join()).toContain('no space left');
    expect(await readdir(join(dir, 'cache'))).toEqual([]);
  });

  it('ends when it is given up', async () => {
    const env = await toolchain('exec sleep 60');
    const signal = AbortSignal.timeout(300);
    await expect(findGeth({ env, logger, signal })).rejects.toThrow();
    expect(await readdir(join(dir, 'cache'))).toEqual([]);
  });
});
