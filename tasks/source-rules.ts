import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface SourceFile {
  /** Relative to the root, with `/`. */
  path: string;
  text: string;
}

export const SOURCE_FOLDERS = ['apps', 'libs', 'deploy', 'tasks', 'bench', 'chaos', 'caliper', 'verifier', 'test'];
const IGNORED = new Set(['node_modules', 'dist', 'generated', 'out', 'cache', 'lib']);
const SOURCE = /\.(ts|mts|mjs|cjs|js|sol)$/;
const TEST = /(\.spec\.ts|\.t\.sol)$|(^|\/)test\//;

const FILE_LIMIT_LINES = 400;
const TEST_LIMIT_LINES = 1_000;

/** Every source file of the project, and those beside package.json. */
export function sourceFiles(root: string): SourceFile[] {
  const files: string[] = readdirSync(root).filter((name) => SOURCE.test(name));
  const visit = (folder: string) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory() && !IGNORED.has(entry.name)) visit(path);
      else if (entry.isFile() && SOURCE.test(entry.name)) files.push(path);
    }
  };
  const present = new Set(readdirSync(root));
  for (const folder of SOURCE_FOLDERS.filter((name) => present.has(name))) visit(folder);
  return files.map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}

/**
 * A variable read by name somewhere in the code is one that .env.example and the start-up check don't know. In apps and libs
 * `process.env` stands only in the call of parseEnv; tools may also hand the environment on as a whole.
 */
export function environmentFindings(path: string, text: string): string[] {
  if (TEST.test(path) || path === 'run.mjs' || !/\.(ts|mts|mjs)$/.test(path)) return [];
  const product = /^(apps|libs)\//.test(path) && !path.startsWith('libs/contracts/scripts/');
  return text.split('\n').flatMap((line, index) => {
    if (!/\bprocess\s*\.\s*env\b/.test(line) || /^\s*(\/\/|\*|\/\*)/.test(line)) return [];
    const byName = /\bprocess\s*\.\s*env\s*(\.|\?\.|\[)/.test(line);
    const handedToParser = text.includes('parseEnv(');
    if (!byName && (!product || handedToParser)) return [];
    return [`${path}:${index + 1}: ${byName ? 'a variable is read by name' : 'process.env outside of parseEnv'}`];
  });
}

/** House rule: files stay within 400 lines, specs within 1,000. */
export function sizeFindings(path: string, text: string): string[] {
  const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
  const limit = TEST.test(path) ? TEST_LIMIT_LINES : FILE_LIMIT_LINES;
  return lines > limit ? [`${path}: ${lines} lines, past ${limit}`] : [];
}
