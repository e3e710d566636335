import { keccak256 } from '../../platform/src/keccak.js';

/**
 * One act as its actor signs it (solidity/interfaces/IEmrLedger.sol).
 * requestId, recordId, authContext: 32 bytes; actor: 20 bytes; deadline: unix seconds.
 */
export interface UnsignedIntent {
  operation: number;
  requestId: Buffer;
  recordId: Buffer;
  parameters: Buffer;
  actor: Buffer;
  deadline: number;
  authContext: Buffer;
}

export interface Intent extends UnsignedIntent {
  /** r ‖ s ‖ v, 65 bytes */
  signature: Buffer;
}

const ascii = (text: string) => keccak256(Buffer.from(text, 'ascii'));

const domainTypeHash = ascii('EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)');
const nameHash = ascii('EmrLedger');
const versionHash = ascii('1');
const intentTypeHash = ascii(
  'Intent(uint8 operation,bytes32 requestId,bytes32 recordId,bytes parameters,address actor,uint64 deadline,bytes32 authContext)',
);
/** The ledger's one entry, as the ABI writes it. */
export const EXECUTE = 'execute((uint8,bytes32,bytes32,bytes,address,uint64,bytes32,bytes)[])';
export const executeSelector = ascii(EXECUTE).subarray(0, 4);

const WORD = 32;
/** The static part of one encoded intent: eight words, of which two are offsets. */
const HEAD = 8 * WORD;
/** Length word and padded bytes of a 65-byte signature. */
const SIGNATURE = WORD + 96;

/** EIP-712 domain separator of the ledger at `contract` (20 bytes) on `chainId`. */
export function domainSeparator(chainId: bigint, contract: Buffer): Buffer {
  const chain = Buffer.from(chainId.toString(16).padStart(64, '0'), 'hex');
  return keccak256(domainTypeHash, nameHash, versionHash, chain, Buffer.alloc(12), exact(contract, 20, 'contract'));
}

/** The 32 bytes an actor signs. @throws RangeError when a field has another length or doesn't fit */
export function intentDigest(domain: Buffer, intent: UnsignedIntent): Buffer {
  const words = Buffer.alloc(HEAD);
  intentTypeHash.copy(words, 0);
  writeUint8(words, 1, intent.operation);
  exact(intent.requestId, 32, 'requestId').copy(words, 2 * WORD);
  exact(intent.recordId, 32, 'recordId').copy(words, 3 * WORD);
  keccak256(intent.parameters).copy(words, 4 * WORD);
  exact(intent.actor, 20, 'actor').copy(words, 5 * WORD + 12);
  writeUint64(words, 6, intent.deadline);
  exact(intent.authContext, 32, 'authContext').copy(words, 7 * WORD);
  return keccak256(Buffer.from([0x19, 0x01]), exact(domain, 32, 'domain'), keccak256(words));
}

/**
 * What the ledger compares when a requestId comes again: operation, record, parameters and actor. Deadline, authContext and
 * signature are left out, so that a retry under a new token is a duplicate. The ledger keeps the first 24 bytes.
 */
export function effectHash(intent: UnsignedIntent): Buffer {
  const words = Buffer.alloc(4 * WORD);
  writeUint8(words, 0, intent.operation);
  exact(intent.recordId, 32, 'recordId').copy(words, WORD);
  keccak256(intent.parameters).copy(words, 2 * WORD);
  exact(intent.actor, 20, 'actor').copy(words, 3 * WORD + 12);
  return keccak256(words);
}

/** Bytes one intent adds to the calldata of `execute`. */
export function intentSize(intent: { parameters: Uint8Array }): number {
  return WORD + HEAD + WORD + padded(intent.parameters.length) + SIGNATURE;
}

/** Calldata of `execute(intents)`, byte for byte as the ABI lays it out. @throws RangeError when a field doesn't fit */
export function encodeExecute(intents: readonly Intent[]): Buffer {
  let size = 4 + 2 * WORD;
  for (const intent of intents) size += intentSize(intent);
  const data = Buffer.alloc(size);
  executeSelector.copy(data, 0);
  data.writeUInt32BE(WORD, 4 + WORD - 4);
  data.writeUInt32BE(intents.length, 4 + 2 * WORD - 4);
  const base = 4 + 2 * WORD;
  let at = base + WORD * intents.length;
  intents.forEach((intent, index) => {
    data.writeUInt32BE(at - base, base + WORD * (index + 1) - 4);
    const tail = padded(intent.parameters.length);
    writeUint8(data, 0, intent.operation, at);
    exact(intent.requestId, 32, 'requestId').copy(data, at + WORD);
    exact(intent.recordId, 32, 'recordId').copy(data, at + 2 * WORD);
    data.writeUInt32BE(HEAD, at + 4 * WORD - 4);
    exact(intent.actor, 20, 'actor').copy(data, at + 4 * WORD + 12);
    writeUint64(data, 5, intent.deadline, at);
    exact(intent.authContext, 32, 'authContext').copy(data, at + 6 * WORD);
    data.writeUInt32BE(HEAD + WORD + tail, at + 8 * WORD - 4);
    data.writeUInt32BE(intent.parameters.length, at + HEAD + WORD - 4);
    intent.parameters.copy(data, at + HEAD + WORD);
    data.writeUInt32BE(65, at + HEAD + 2 * WORD + tail - 4);
    exact(intent.signature, 65, 'signature').copy(data, at + HEAD + 2 * WORD + tail);
    at += HEAD + WORD + tail + SIGNATURE;
  });
  return data;
}

/**
 * The intents within calldata of `execute`. Buffers are views of `calldata`.
 * @throws RangeError when it isn't such calldata
 */
export function decodeExecute(calldata: Buffer): Intent[] {
  if (!calldata.subarray(0, 4).equals(executeSelector)) throw new RangeError('not a call of execute');
  const base = 4 + readUint(calldata, 4) + WORD;
  const count = readUint(calldata, base - WORD);
  if (count * WORD > calldata.length) throw new RangeError('more intents than bytes');
  const intents: Intent[] = [];
  for (let index = 0; index < count; index += 1) {
    const at = base + readUint(calldata, base + WORD * index);
    intents.push({
      operation: readUint(calldata, at),
      requestId: slice(calldata, at + WORD, 32),
      recordId: slice(calldata, at + 2 * WORD, 32),
      parameters: bytesAt(calldata, at + readUint(calldata, at + 3 * WORD)),
      actor: slice(calldata, at + 4 * WORD + 12, 20),
      deadline: readUint(calldata, at + 5 * WORD),
      authContext: slice(calldata, at + 6 * WORD, 32),
      signature: bytesAt(calldata, at + readUint(calldata, at + 7 * WORD)),
    });
  }
  return intents;
}

function padded(length: number): number {
  return Math.ceil(length / WORD) * WORD;
}

function exact(value: Buffer, length: number, name: string): Buffer {
  if (value.length !== length) throw new RangeError(`${name} is ${value.length} bytes, not ${length}`);
  return value;
}

function writeUint8(target: Buffer, word: number, value: number, base = 0): void {
  if (!Number.isInteger(value) || value < 0 || value > 0xff) throw new RangeError('operation is no uint8');
  target[base + WORD * word + 31] = value;
}

function writeUint64(target: Buffer, word: number, value: number, base = 0): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError('deadline is no time in seconds');
  target.writeBigUInt64BE(BigInt(value), base + WORD * word + 24);
}

/** A word as a safe integer. */
function readUint(source: Buffer, offset: number): number {
  const word = slice(source, offset, WORD);
  for (let index = 0; index < 24; index += 4) {
    if (word.readUInt32BE(index) !== 0) throw new RangeError('a word of the calldata is too large');
  }
  const value = Number(word.readBigUInt64BE(24));
  if (!Number.isSafeInteger(value)) throw new RangeError('a word of the calldata is too large');
  return value;
}

function bytesAt(source: Buffer, offset: number): Buffer {
  return slice(source, offset + WORD, readUint(source, offset));
}

function slice(source: Buffer, offset: number, length: number): Buffer {
  if (offset + length > source.length) throw new RangeError('the calldata ends too early');
  return source.subarray(offset, offset + length);
}
