/**
 * Where a chaos run ends or pauses a process of its own accord, between two steps that must not depend on one another.
 * @param spec `name`, `name:n` for the n-th time it is reached, `name:n:stop` to pause there (SIGSTOP) instead of ending;
 *   undefined or empty in production
 * @returns a function that ends this process as `kill -9` would, or pauses it, when it reaches the point named
 */
export function createFailpoint<Name extends string>(spec: string | undefined): (name: Name) => void {
  if (spec === undefined || spec === '') return () => undefined;
  const [name, count = '1', how = 'kill'] = spec.split(':');
  let left = Number(count);
  return (reached) => {
    if (reached !== name) return;
    left -= 1;
    if (left === 0) process.kill(process.pid, how === 'stop' ? 'SIGSTOP' : 'SIGKILL');
  };
}
