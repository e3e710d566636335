import { existsSync } from 'node:fs';

/** What each `bench/<name>.bench.ts` exports. @returns exit code */
interface Bench {
  run(args: string[]): Promise<number>;
}

const BENCHES = ['access-log', 'audit', 'export', 'gateway', 'indexer', 'latency'];

/** `npm run bench -- NAME [options]`: loads bench/NAME.bench.ts. */
export async function run(args: string[]): Promise<number> {
  const [name = '', ...rest] = args;
  const module = new URL(`../bench/${name}.bench.js`, import.meta.url);
  if (!BENCHES.includes(name) || !existsSync(module)) {
    process.stderr.write(`${name ? `There is no bench ${name}.` : 'Which bench?'} Benches: ${BENCHES.join(', ')}\n`);
    return 2;
  }
  const { run: measure } = (await import(module.href)) as Bench;
  return measure(rest);
}
