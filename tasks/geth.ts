import { findGeth } from '../deploy/geth/binary.js';

/** Prints the path of a geth that can seal Clique, built first if need be. */
export async function run(): Promise<number> {
  const say = (message: string) => process.stderr.write(`${message}\n`);
  const geth = await findGeth({ env: process.env, logger: { info: say, warn: say } });
  if (!geth) return 1;
  say(`geth ${geth.version}`);
  process.stdout.write(`${geth.path}\n`);
  return 0;
}
