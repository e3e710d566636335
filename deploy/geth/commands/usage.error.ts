/** What was asked for can't be done as it was written; the message says what to write instead. Ends a command with 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** @throws UsageError unless `text` is a whole number from `least` to `most` */
export function wholeNumber(option: string, text: string, least: number, most = Number.MAX_SAFE_INTEGER): number {
  const value = Number(text);
  if (!/^(\d+|0x[0-9a-f]+)$/i.test(text) || !Number.isSafeInteger(value) || value < least || value > most) {
    throw new UsageError(`--${option} takes a whole number from ${least} to ${most}, not "${text}"`);
  }
  return value;
}

/** @throws UsageError unless `text` is one of `choices` */
export function oneOf<T extends string>(option: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw new UsageError(`--${option} takes ${choices.join(' or ')}, not "${text}"`);
  return found;
}
