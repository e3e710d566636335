/** What `caliper/main.ts` exports. @returns exit code once everything has been stopped */
interface Caliper {
  run(args: string[], env: NodeJS.ProcessEnv): Promise<number>;
}

/** Runs Hyperledger Caliper over a matrix of networks. Loaded by address, so that the other tasks don't pay for the stack's packages. */
export async function run(args: string[]): Promise<number> {
  const { run: measure } = (await import(new URL('../caliper/main.js', import.meta.url).href)) as Caliper;
  return measure(args, process.env);
}
