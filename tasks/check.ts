import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runChild } from './child.js';
import { environmentFindings, SOURCE_FOLDERS, sizeFindings, sourceFiles } from './source-rules.js';

interface Step {
  name: string;
  about: string;
  /** @returns whether nothing was found */
  run(root: string): Promise<boolean>;
}

const STEPS: Step[] = [
  { name: 'biome', about: 'format and lint', run: tool('@biomejs/biome/bin/biome', ['check', '--error-on-warnings']) },
  {
    name: 'types',
    about: 'tsc --noEmit, of everything and of what is built alone',
    run: types,
  },
  { name: 'imports', about: 'import rules, with dependency-cruiser', run: imports },
  {
    name: 'unused',
    about: 'unused files, exports and packages, with knip',
    run: tool('knip/bin/knip.js', ['--no-config-hints']),
  },
  {
    name: 'lockfile',
    about: 'complete for all platforms',
    run: tool('../tasks/complete-lockfile.mjs', ['--check']),
  },
  {
    name: 'environment',
    about: 'process.env is read through parseEnv alone',
    run: async (root) => report(sourceFiles(root).flatMap((file) => environmentFindings(file.path, file.text))),
  },
  {
    name: 'size',
    about: 'no file past 400 lines, no spec past 1,000',
    run: async (root) => report(sourceFiles(root).flatMap((file) => sizeFindings(file.path, file.text))),
  },
];

/** Runs the steps named in `args`, or all; one line per step at the end, the last line says whether all is well. */
export async function run(args: string[]): Promise<number> {
  const unknown = args.filter((name) => !STEPS.some((step) => step.name === name));
  if (unknown.length > 0) {
    process.stderr.write(
      `There is no step ${unknown.join(', ')}. Steps: ${STEPS.map(({ name }) => name).join(', ')}\n`,
    );
    return 2;
  }
  const failed: string[] = [];
  const chosen = STEPS.filter(({ name }) => args.length === 0 || args.includes(name));
  for (const step of chosen) {
    process.stdout.write(`── ${step.name}: ${step.about}\n`);
    const fine = await step.run(process.cwd()).catch((error: Error) => {
      process.stdout.write(`${error.stack}\n`);
      return false;
    });
    if (!fine) failed.push(step.name);
    process.stdout.write(`${step.name}: ${fine ? 'fine' : 'FINDINGS'}\n`);
  }
  const names = chosen.map(({ name }) => name).join(', ');
  process.stdout.write(failed.length > 0 ? `check failed: ${failed.join(', ')}\n` : `check passed: ${names}\n`);
  return failed.length > 0 ? 1 : 0;
}

/** A type that a file of the tests declares is there for the whole, and missing when the build leaves that file out. */
async function types(root: string): Promise<boolean> {
  const notKept = ['--noEmit', '--incremental', 'false', '--tsBuildInfoFile', 'null'];
  const found: boolean[] = [];
  for (const project of ['tsconfig.json', 'tsconfig.build.json'])
    found.push(await tool('typescript/bin/tsc', ['-p', project, ...notKept])(root));
  return !found.includes(false);
}

async function imports(root: string): Promise<boolean> {
  const present = SOURCE_FOLDERS.filter((name) => existsSync(join(root, name)));
  const args = ['--config', '.dependency-cruiser.cjs', '--output-type', 'err-long', ...present];
  return tool('dependency-cruiser/bin/dependency-cruise.mjs', args)(root);
}

function tool(script: string, args: string[]): Step['run'] {
  return async (root) => {
    const path = join(root, 'node_modules', script);
    const { code } = await runChild(process.execPath, [path, ...args], { timeoutMs: 600_000 });
    return code === 0;
  };
}

function report(findings: string[]): boolean {
  for (const finding of findings) process.stdout.write(`${finding}\n`);
  return findings.length === 0;
}
