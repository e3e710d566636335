/** `text` with one bit of one character changed. */
export function flipped(text: string, at: number, bit = at % 7): string {
  const changed = String.fromCharCode(text.charCodeAt(at) ^ (1 << bit));
  return text.slice(0, at) + changed + text.slice(at + 1);
}

/** Positions of `text` at which a flipped bit makes `verify` say nothing; none, if all of it is checked. */
export async function unnoticed(text: string, verify: (altered: string) => unknown): Promise<number[]> {
  const missed: number[] = [];
  for (let at = 0; at < text.length; at++) {
    try {
      await verify(flipped(text, at));
      missed.push(at);
    } catch (error) {
      if ((error as Error).constructor.name !== 'Fault') throw error;
    }
  }
  return missed;
}
