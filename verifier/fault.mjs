/** What is wrong, and where: thrown by every check, printed as the reason of `NOT verified`. */
export class Fault extends Error {}

/** @param {unknown} holds @param {string} otherwise what is wrong if it doesn't hold */
export function check(holds, otherwise) {
  if (!holds) throw new Fault(otherwise);
}
