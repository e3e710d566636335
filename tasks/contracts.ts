import { join } from 'node:path';
import { runChild } from './child.js';

/** Compiles the ledger contract, whether or not its sources changed. */
export async function run(args: string[]): Promise<number> {
  const script = join(process.cwd(), 'libs/contracts/scripts/build.mjs');
  const { code } = await runChild(process.execPath, [script, '--force', ...args], { timeoutMs: 600_000 });
  return code ?? 1;
}
