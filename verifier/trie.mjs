// Merkle-Patricia trie: Ethereum Yellow Paper, appendix D.
import { check } from './fault.mjs';
import { keccak256 } from './keccak.mjs';
import { decodeRlp } from './rlp.mjs';

/**
 * Walks from the root to a key along a proof's nodes. Each node must hash to what the one above it says, and each must be needed.
 * @param {Buffer} root 32 bytes
 * @param {Buffer} key
 * @param {Buffer[]} nodes RLP, from the root down
 * @returns {Buffer | undefined} the value; undefined when the walk proves that there is none
 */
export function lookUp(root, key, nodes, what) {
  let used = 0;
  const open = (reference) => {
    if (Array.isArray(reference)) return reference; // a short node stands inside its parent
    check(used < nodes.length, `${what} ends before its value`);
    const name = `node ${used} of ${what}`;
    const node = nodes[used++];
    check(keccak256(node).equals(reference), `${name} does not hash to what stands above it`);
    return decodeRlp(node, name);
  };
  const value = walk(open(root), toNibbles(key), open, what);
  check(used === nodes.length, `${what} has ${nodes.length - used} nodes too many`);
  return value;
}

function walk(node, nibbles, open, what) {
  if (node.length === 17) {
    const next = nibbles === '' ? node[16] : node[Number.parseInt(nibbles[0], 16)];
    if (next.length === 0) return undefined;
    return nibbles === '' ? next : walk(open(next), nibbles.slice(1), open, what);
  }
  check(node.length === 2 && Buffer.isBuffer(node[0]), `a node of ${what} is neither branch nor leaf`);
  // The first nibble says whether it is a leaf (2, 3) or leads on (0, 1), and whether the number of nibbles is odd (1, 3).
  const packed = toNibbles(node[0]);
  const path = packed.slice(packed[0] === '1' || packed[0] === '3' ? 1 : 2);
  if (packed[0] === '2' || packed[0] === '3') return path === nibbles ? node[1] : undefined;
  return nibbles.startsWith(path) ? walk(open(node[1]), nibbles.slice(path.length), open, what) : undefined;
}

function toNibbles(key) {
  return Buffer.from(key).toString('hex');
}
