/** Waits for `work`, but no longer than until `signal` says stop. @throws the signal's reason */
export async function unlessAborted<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted();
  work.catch(() => {}); // heard through the race, if at all
  if (signal === undefined) return work;
  let abort: () => void = () => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
  });
  signal.addEventListener('abort', abort, { once: true });
  return Promise.race([work, aborted]).finally(() => signal.removeEventListener('abort', abort));
}
