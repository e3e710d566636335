import { RLP } from '@ethereumjs/rlp';
import { keccak256 } from '../../platform/src/keccak.js';
import { EMPTY_TRIE_ROOT } from './ordered-trie.js';
import type { Bytes } from './rlp.js';

/** The nodes don't lead from the root to what they are said to prove. */
export class InvalidProofError extends Error {
  override readonly name = 'InvalidProofError';
}

type Node = (Uint8Array | Node)[];

/**
 * What a block's state holds in storage slots of one account, by the nodes that `eth_getProof` gives (EIP-1186).
 * @param account RLP of the state trie's nodes, from the root down to the account
 * @param slots each slot's number as a word, and RLP of the nodes of the account's storage trie down to it
 * @returns the words in the slots, 32 bytes each; zeros where the proof shows that a slot was never written, or that there is no such account
 * @throws InvalidProofError
 */
export function provenSlots(
  stateRoot: Bytes,
  address: Bytes,
  account: readonly Bytes[],
  slots: readonly { slot: Bytes; nodes: readonly Bytes[] }[],
): Buffer[] {
  const leaf = lookUp(stateRoot, keccak256(address), account);
  const storageRoot = leaf === undefined ? EMPTY_TRIE_ROOT : (decode(leaf)[2] as Uint8Array);
  return slots.map(({ slot, nodes }) => {
    const value = lookUp(storageRoot, keccak256(slot), nodes);
    const word = Buffer.alloc(32);
    if (value !== undefined) {
      const bytes = RLP.decode(value) as Uint8Array;
      word.set(bytes, 32 - bytes.length);
    }
    return word;
  });
}

/** The state root in a header's RLP: its fourth field. */
export function stateRootOf(header: Bytes): Buffer {
  return Buffer.from(decode(header)[3] as Uint8Array);
}

/** The value under a key; undefined where the nodes prove that there is none. Source: Yellow Paper, appendix D. */
function lookUp(root: Bytes, key: Bytes, nodes: readonly Bytes[]): Uint8Array | undefined {
  if (nodes.length === 0 && EMPTY_TRIE_ROOT.equals(root)) return undefined;
  let used = 0;
  const open = (reference: Uint8Array | Node): Node => {
    // A node of less than 32 bytes stands inside its parent.
    if (Array.isArray(reference)) return reference;
    const node = nodes[used++];
    if (node === undefined || !keccak256(node).equals(reference)) {
      throw new InvalidProofError(`node ${used - 1} is missing or does not hash to what stands above it`);
    }
    return decode(node);
  };
  const value = walk(open(root), Buffer.from(key).toString('hex'), open);
  if (used !== nodes.length) throw new InvalidProofError('there are more nodes than the walk needs');
  return value;
}

function walk(node: Node, nibbles: string, open: (reference: Uint8Array | Node) => Node): Uint8Array | undefined {
  if (node.length === 17) {
    const next = node[Number.parseInt(nibbles[0] ?? '', 16)];
    if (next === undefined) throw new InvalidProofError('the walk ends in a branch');
    return next.length === 0 ? undefined : walk(open(next), nibbles.slice(1), open);
  }
  const [packed, next] = node;
  if (node.length !== 2 || !(packed instanceof Uint8Array) || next === undefined) {
    throw new InvalidProofError('a node is neither branch nor leaf');
  }
  // The first nibble: 0 and 1 lead on, 2 and 3 are leaves; odd ones have a nibble more in the same byte.
  const all = Buffer.from(packed).toString('hex');
  const flag = Number.parseInt(all[0] ?? '', 16);
  const path = all.slice(flag % 2 === 1 ? 1 : 2);
  if (flag >= 2) return path === nibbles && next instanceof Uint8Array ? next : undefined;
  return nibbles.startsWith(path) ? walk(open(next), nibbles.slice(path.length), open) : undefined;
}

function decode(bytes: Bytes): Node {
  let item: unknown;
  try {
    item = RLP.decode(bytes);
  } catch (cause) {
    throw new InvalidProofError('a node is no RLP', { cause });
  }
  if (!Array.isArray(item)) throw new InvalidProofError('a node is no list');
  return item as Node;
}
