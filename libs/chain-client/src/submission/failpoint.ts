/** Where a chaos run may end the process: each stands between two steps of the write path that must not depend on one another. */
export type FailpointName =
  | 'before-accept-commit'
  | 'after-accept-commit'
  | 'after-assignment-commit'
  | 'before-attempt-commit'
  | 'after-attempt-commit'
  | 'after-send'
  | 'after-sent-recorded';

export type Failpoint = (name: FailpointName) => void;

/**
 * @param spec `name`, or `name:n` for the n-th time it is reached; undefined in production
 * @returns a function that ends this process as `kill -9` would when it reaches the point named
 */
export function createFailpoint(spec: string | undefined): Failpoint {
  if (spec === undefined || spec === '') return () => undefined;
  const [name, count = '1'] = spec.split(':');
  let left = Number(count);
  return (reached) => {
    if (reached !== name) return;
    left -= 1;
    if (left === 0) process.kill(process.pid, 'SIGKILL');
  };
}
