import { isFree } from '../geth/ports.js';

/** @throws Error naming each port that is taken, what it is wanted for, and the way to move */
export async function assertPortsFree(wanted: { port: number; name: string }[], base: number): Promise<void> {
  const taken: string[] = [];
  for (const { port, name } of wanted) if (!(await isFree(port))) taken.push(`  ${port}, for ${name}`);
  if (taken.length === 0) return;
  throw new Error(
    `these ports of 127.0.0.1 are taken by another program:\n${taken.join('\n')}\nchoose others with --ports, such as: npm start -- --ports ${base + 1000}`,
  );
}
