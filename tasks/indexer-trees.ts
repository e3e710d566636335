/** What `apps/indexer/test/trees.ts` exports. @returns exit code */
interface Trees {
  run(args: string[]): Promise<number>;
}

/** Mirrors random trees of blocks. Loaded by address: it is a test of the indexer, which no other task needs. */
export async function run(args: string[]): Promise<number> {
  const { run: grow } = (await import(new URL('../apps/indexer/test/trees.js', import.meta.url).href)) as Trees;
  return grow(args);
}
