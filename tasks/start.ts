/** What `deploy/local/main.ts` exports. @returns exit code once everything has been stopped */
interface Stack {
  run(args: string[]): Promise<number>;
}

/** Starts the two hospitals. Loaded by address, so that the other tasks don't pay for the stack's packages. */
export async function run(args: string[]): Promise<number> {
  const { run: start } = (await import(new URL('../deploy/local/main.js', import.meta.url).href)) as Stack;
  return start(args);
}
