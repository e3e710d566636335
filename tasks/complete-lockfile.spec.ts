import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';

interface Script {
  missingEntries(lockfile: { packages: Record<string, object> }): Record<string, object>;
}
const script = join(import.meta.dirname, 'complete-lockfile.mjs');
const { missingEntries } = (await import(/* @vite-ignore */ pathToFileURL(script).href)) as Script;

const tool = (...names: string[]) => ({
  dev: true,
  optionalDependencies: Object.fromEntries(names.map((name) => [name, '1.2.3'])),
});

describe('completing the lockfile', () => {
  it('adds optional packages of other platforms, with what their names say', () => {
    const packages = { 'node_modules/t': tool('@t/linux-arm64-musl', '@t/darwin-amd64') };
    expect(missingEntries({ packages })).toEqual({
      'node_modules/@t/linux-arm64-musl': {
        version: '1.2.3',
        cpu: ['arm64'],
        dev: true,
        libc: ['musl'],
        optional: true,
        os: ['linux'],
      },
      'node_modules/@t/darwin-amd64': { version: '1.2.3', cpu: ['x64'], dev: true, optional: true, os: ['darwin'] },
    });
  });

  it('leaves alone what is there, at the top or beside the package that wants it', () => {
    const packages = {
      'node_modules/a': tool('t-linux-x64'),
      'node_modules/t-linux-x64': {},
      'node_modules/b': {},
      'node_modules/b/node_modules/c': tool('t-win32-x64'),
      'node_modules/b/node_modules/t-win32-x64': {},
    };
    expect(missingEntries({ packages })).toEqual({});
  });

  it('refuses to guess', () => {
    expect(() => missingEntries({ packages: { 'node_modules/a': tool('helper') } })).toThrow(/which platform/);
  });
});
