import { Operation, type OperationCode } from './operations.js';
import { type Layout, readWord, type Values, writeWord } from './words.js';

/**
 * The words of each operation's `parameters`, in order (solidity/Codes.sol). Times are seconds, counted from the block that
 * carries the act. `basis` of a query: zero for the own relation, a team's address (`addressWord`), or a grantId.
 */
const layouts = {
  open: { contentHash: 'bytes32', subject: 'address', level: 'uint8', origin: 'bytes32', originBlock: 'bytes32' },
  relate: { party: 'address', duration: 'uint32' },
  unrelate: { party: 'address' },
  amend: { expectedVersion: 'uint32', contentHash: 'bytes32' },
  query: { version: 'uint32', purpose: 'uint16', ttl: 'uint32', basis: 'bytes32' },
  close: { reason: 'uint16' },
  reopen: { reason: 'uint16' },
  grant: {
    grantId: 'bytes32',
    grantee: 'address',
    granteeHospital: 'uint32',
    operations: 'uint32',
    purpose: 'uint16',
    delay: 'uint32',
    duration: 'uint32',
    consentHash: 'bytes32',
  },
  revoke: { grantId: 'bytes32', reason: 'uint16' },
  freeze: { transferId: 'bytes32', version: 'uint32', contentHash: 'bytes32' },
  propose: {
    transferId: 'bytes32',
    toHospital: 'uint32',
    version: 'uint32',
    contentHash: 'bytes32',
    mode: 'uint8',
    ttl: 'uint32',
    proof: 'bytes32',
  },
  accept: { transferId: 'bytes32', packageHash: 'bytes32' },
  complete: { transferId: 'bytes32' },
  reject: { transferId: 'bytes32', reason: 'uint16' },
  cancel: { transferId: 'bytes32', reason: 'uint16' },
  expire: { transferId: 'bytes32' },
  unfreeze: { transferId: 'bytes32', outcome: 'uint8', proof: 'bytes32' },
  registerActor: { account: 'address', roles: 'uint16', custody: 'uint8' },
  setActorStatus: { account: 'address', active: 'bool' },
  setTeamMember: { team: 'address', member: 'address', active: 'bool' },
  updateHospital: {
    registrar: 'address',
    identityKey: 'bytes32',
    transferKey: 'bytes32',
    transferKeyId: 'uint32',
    endpointHash: 'bytes32',
  },
  setRelayer: { relayer: 'address', active: 'bool' },
  voteAdmit: {
    id: 'uint32',
    registrar: 'address',
    relayer: 'address',
    identityKey: 'bytes32',
    transferKey: 'bytes32',
    transferKeyId: 'uint32',
    endpointHash: 'bytes32',
  },
  voteStatus: { id: 'uint32', active: 'bool' },
  voteThreshold: { threshold: 'uint32' },
  anchorLedger: {
    localChainId: 'uint64',
    block: 'uint64',
    blockHash: 'bytes32',
    previousSequence: 'uint64',
    previousHead: 'bytes32',
    localSequence: 'uint64',
    localHead: 'bytes32',
    accessSequence: 'uint64',
    accessHead: 'bytes32',
  },
} as const satisfies Record<string, Layout>;

type Layouts = typeof layouts;
export type OperationKey = keyof Layouts;
export type ParametersOf<K extends OperationKey> = Values<Layouts[K]>;
export type DecodedParameters = { [K in OperationKey]: { name: K } & ParametersOf<K> }[OperationKey];

const keys: Record<OperationCode, OperationKey> = {
  [Operation.OPEN]: 'open',
  [Operation.RELATE]: 'relate',
  [Operation.UNRELATE]: 'unrelate',
  [Operation.AMEND]: 'amend',
  [Operation.QUERY]: 'query',
  [Operation.CLOSE]: 'close',
  [Operation.REOPEN]: 'reopen',
  [Operation.GRANT]: 'grant',
  [Operation.REVOKE]: 'revoke',
  [Operation.FREEZE]: 'freeze',
  [Operation.PROPOSE]: 'propose',
  [Operation.ACCEPT]: 'accept',
  [Operation.COMPLETE]: 'complete',
  [Operation.REJECT]: 'reject',
  [Operation.CANCEL]: 'cancel',
  [Operation.EXPIRE]: 'expire',
  [Operation.UNFREEZE]: 'unfreeze',
  [Operation.REGISTER_ACTOR]: 'registerActor',
  [Operation.SET_ACTOR_STATUS]: 'setActorStatus',
  [Operation.SET_TEAM_MEMBER]: 'setTeamMember',
  [Operation.UPDATE_HOSPITAL]: 'updateHospital',
  [Operation.SET_RELAYER]: 'setRelayer',
  [Operation.VOTE_ADMIT]: 'voteAdmit',
  [Operation.VOTE_STATUS]: 'voteStatus',
  [Operation.VOTE_THRESHOLD]: 'voteThreshold',
  [Operation.ANCHOR_LEDGER]: 'anchorLedger',
};

/** `parameters.<operation>({ … })`: the encoded words. Each throws RangeError when a value doesn't fit its type. */
export const parameters = Object.fromEntries(
  Object.keys(layouts).map((key) => [key, (values: Record<string, unknown>) => encode(key as OperationKey, values)]),
) as unknown as { [K in OperationKey]: (values: ParametersOf<K>) => Buffer };

/**
 * The values of encoded parameters, with the operation's name as `name`.
 * @throws RangeError when the operation is unknown, the length is another, or a word has bits beyond its type
 */
export function decodeParameters(operation: number, encoded: Buffer): DecodedParameters {
  const key = keys[operation as OperationCode];
  if (!key) throw new RangeError(`operation ${operation} is unknown`);
  const fields = Object.entries(layouts[key]);
  if (encoded.length !== 32 * fields.length) {
    throw new RangeError(`${key} takes ${fields.length} words, not ${encoded.length} bytes`);
  }
  const decoded: Record<string, unknown> = { name: key };
  fields.forEach(([name, type], index) => {
    decoded[name] = readWord(encoded, 32 * index, type);
  });
  return decoded as DecodedParameters;
}

/** An address as a right-aligned word: how a query names a team as its basis. */
export function addressWord(address: Buffer): Buffer {
  const word = Buffer.alloc(32);
  writeWord(word, 0, 'address', address, 'address');
  return word;
}

function encode(key: OperationKey, values: Record<string, unknown>): Buffer {
  const fields = Object.entries(layouts[key]);
  const encoded = Buffer.alloc(32 * fields.length);
  fields.forEach(([name, type], index) => {
    writeWord(encoded, 32 * index, type, values[name], name);
  });
  return encoded;
}
