/** What `chaos/main.ts` exports. @returns exit code once everything has been stopped */
interface Chaos {
  run(args: string[], env: NodeJS.ProcessEnv): Promise<number>;
}

/** Runs the chaos harness. Loaded by address, so that the other tasks don't pay for the stack's packages. */
export async function run(args: string[]): Promise<number> {
  const { run: start } = (await import(new URL('../chaos/main.js', import.meta.url).href)) as Chaos;
  return start(args, process.env);
}
