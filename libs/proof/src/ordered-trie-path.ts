import { keccak256 } from '../../platform/src/keccak.js';
import { type Bytes, encodeRlp, integer, type RlpItem } from './rlp.js';

interface Entry {
  /** The key's half-bytes, one a character. */
  nibbles: string;
  value: Bytes;
}

/**
 * The nodes from the root of an ordered trie (see ordered-trie.ts) down to one of its values, as RLP: what proves to whoever holds the root
 * that the value is there. Nodes shorter than 32 bytes stand inside their parent and not in the list.
 * @throws RangeError when there is no value at `index`
 */
export function orderedTriePath(values: readonly Bytes[], index: number): { root: Buffer; nodes: Buffer[] } {
  if (index < 0 || index >= values.length) throw new RangeError(`no value ${index} among ${values.length}`);
  const entries = values.map((value, at) => ({ nibbles: nibblesOf(at), value }));
  const nodes: Buffer[] = [];
  const root = encodeRlp(build(entries, 0, nibblesOf(index), nodes));
  return { root: keccak256(root), nodes: [root, ...nodes.reverse()] };
}

/** The node over `entries`, which agree in their first `depth` nibbles; appends those below it on the way to `wanted`, lowest first. */
function build(entries: readonly Entry[], depth: number, wanted: string, nodes: Buffer[]): RlpItem[] {
  const [first] = entries as [Entry];
  if (entries.length === 1) return [hexPrefix(first.nibbles.slice(depth), true), first.value];
  let shared = depth;
  while (entries.every(({ nibbles }) => nibbles[shared] === first.nibbles[shared])) shared++;
  const below = (children: readonly Entry[], at: number): RlpItem => {
    const node = build(children, at, wanted, nodes);
    const encoded = encodeRlp(node);
    if (encoded.length < 32) return node;
    if (wanted.startsWith((children[0] as Entry).nibbles.slice(0, at))) nodes.push(encoded);
    return keccak256(encoded);
  };
  if (shared > depth) return [hexPrefix(first.nibbles.slice(depth, shared), false), below(entries, shared)];
  const branch: RlpItem[] = Array.from({ length: 16 }, (_, nibble) => {
    const children = entries.filter(({ nibbles }) => Number.parseInt(nibbles[depth] as string, 16) === nibble);
    return children.length === 0 ? Buffer.alloc(0) : below(children, depth + 1);
  });
  // No key is the beginning of another, so no branch holds a value.
  return [...branch, Buffer.alloc(0)];
}

function nibblesOf(index: number): string {
  return encodeRlp(integer(index)).toString('hex');
}

/** Nibbles packed into bytes; the first says whether their number is odd, and whether the node is a leaf. */
function hexPrefix(nibbles: string, leaf: boolean): Buffer {
  const odd = nibbles.length % 2;
  return Buffer.from(`${(leaf ? 2 : 0) + odd}${odd ? '' : '0'}${nibbles}`, 'hex');
}
