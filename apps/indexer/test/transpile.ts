import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { transformFile } from '@swc/core';

const ROOT = resolve(import.meta.dirname, '../../..');

export interface Transpiled {
  /** The program's entry. */
  main: string;
  remove(): Promise<void>;
}

/** The indexer as plain JavaScript made from the sources as they are now, so that a test can start it as a process of its own, and kill it. */
export async function transpileIndexer(): Promise<Transpiled> {
  await mkdir(join(ROOT, 'dist'), { recursive: true });
  // Inside the project, so that packages resolve.
  const target = await mkdtemp(join(ROOT, 'dist', 'indexer-under-test-'));
  for (const folder of ['apps/indexer/src', 'libs']) {
    const files = await readdir(join(ROOT, folder), { recursive: true });
    await Promise.all(files.filter(isSource).map((file) => transpile(join(folder, file), target)));
  }
  return {
    main: join(target, 'apps/indexer/src/main.js'),
    remove: () => rm(target, { recursive: true, force: true }),
  };
}

function isSource(file: string): boolean {
  return file.endsWith('.ts') && !file.endsWith('.spec.ts') && !file.endsWith('.d.ts');
}

async function transpile(file: string, target: string): Promise<void> {
  const { code } = await transformFile(join(ROOT, file), {
    swcrc: false,
    module: { type: 'es6' },
    jsc: {
      target: 'es2022',
      parser: { syntax: 'typescript', decorators: true },
      transform: { legacyDecorator: true, decoratorMetadata: true },
    },
  });
  const output = join(target, file.replace(/\.ts$/, '.js'));
  await mkdir(dirname(output), { recursive: true });
  await writeFile(output, code);
}
