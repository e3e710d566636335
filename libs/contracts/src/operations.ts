/** Codes shared with solidity/Codes.sol; a test holds the two against each other. */
export const Operation = {
  OPEN: 1,
  RELATE: 2,
  UNRELATE: 3,
  AMEND: 4,
  QUERY: 5,
  CLOSE: 6,
  REOPEN: 7,
  GRANT: 8,
  REVOKE: 9,
  FREEZE: 16,
  PROPOSE: 17,
  ACCEPT: 19,
  COMPLETE: 20,
  REJECT: 21,
  CANCEL: 22,
  EXPIRE: 23,
  UNFREEZE: 26,
  REGISTER_ACTOR: 48,
  SET_ACTOR_STATUS: 49,
  SET_TEAM_MEMBER: 50,
  UPDATE_HOSPITAL: 56,
  SET_RELAYER: 57,
  VOTE_ADMIT: 58,
  VOTE_STATUS: 59,
  VOTE_THRESHOLD: 60,
  ANCHOR_LEDGER: 61,
} as const;
export type OperationCode = (typeof Operation)[keyof typeof Operation];

export const Reason = {
  MALFORMED: 1,
  DEADLINE_PASSED: 2,
  UNKNOWN_OPERATION: 3,
  ACTOR_UNKNOWN: 4,
  ACTOR_SUSPENDED: 5,
  ROLE_MISSING: 6,
  RECORD_UNKNOWN: 7,
  RECORD_EXISTS: 8,
  RECORD_CLOSED: 9,
  RECORD_FROZEN: 10,
  NOT_CUSTODIAN: 11,
  NO_RELATION: 12,
  VERSION_STALE: 13,
  LEVEL_ASKS_MORE: 14,
  GRANT_UNKNOWN: 15,
  GRANT_EXISTS: 16,
  GRANT_INACTIVE: 17,
  CONSENT_MISSING: 18,
  TRANSFER_UNKNOWN: 19,
  TRANSFER_LIVE: 20,
  TRANSFER_STATE: 21,
  TRANSFER_PARTY: 22,
  TRANSFER_EXPIRED: 23,
  CONTENT_MISMATCH: 24,
  NOT_SUPPORTED: 25,
  HOSPITAL_UNKNOWN: 26,
  HOSPITAL_EXISTS: 27,
  ACTOR_EXISTS: 28,
  RELATION_UNKNOWN: 29,
  NOT_REGISTRAR: 30,
  ALREADY_SO: 31,
  PURPOSE_MISSING: 32,
  ANCHOR_BROKEN: 33,
} as const;

/** Role bits of an actor. */
export const Role = {
  CLINICIAN: 1,
  RECORDS_OFFICER: 2,
  PRIVACY_OFFICER: 4,
  PATIENT: 8,
  DEVICE: 16,
  ADMIN: 32,
  AUDITOR: 64,
} as const;

/** Purposes of use by their HL7 v3 code (ActReason, PurposeOfUse). 0 stands for "any" in a grant. */
export const Purpose = {
  TREAT: 1,
  ETREAT: 2,
  HPAYMT: 3,
  HOPERAT: 4,
  PATRQT: 5,
  HRESCH: 6,
  PUBHLTH: 7,
} as const;
export type PurposeName = keyof typeof Purpose;

const reasonNames = invert(Reason);
const operationNames = invert(Operation);
const purposeNames = invert(Purpose);

/** Name of a refusal's reason, such as `NO_RELATION`; `REASON_<code>` for one this program doesn't know yet. */
export function reasonName(code: number): string {
  return reasonNames.get(code) ?? `REASON_${code}`;
}

/** Name of an operation, such as `QUERY`; `OPERATION_<code>` for one this program doesn't know yet. */
export function operationName(code: number): string {
  return operationNames.get(code) ?? `OPERATION_${code}`;
}

/** HL7 code of a purpose of use; `PURPOSE_<code>` for one this program doesn't know yet. */
export function purposeName(code: number): string {
  return purposeNames.get(code) ?? `PURPOSE_${code}`;
}

function invert(codes: Record<string, number>): Map<number, string> {
  return new Map(Object.entries(codes).map(([name, code]) => [code, name]));
}

/**
 * Upper bound of the gas each operation's execution takes, every storage slot cold and new, without calldata.
 * gas.spec.ts proves each against measurements.
 */
const executionGas: Record<number, number> = {
  [Operation.OPEN]: 200_000,
  [Operation.RELATE]: 100_000,
  [Operation.UNRELATE]: 75_000,
  [Operation.AMEND]: 85_000,
  [Operation.QUERY]: 62_000,
  [Operation.CLOSE]: 75_000,
  [Operation.REOPEN]: 75_000,
  [Operation.GRANT]: 130_000,
  [Operation.REVOKE]: 75_000,
  [Operation.FREEZE]: 100_000,
  [Operation.PROPOSE]: 210_000,
  [Operation.ACCEPT]: 85_000,
  [Operation.COMPLETE]: 85_000,
  [Operation.REJECT]: 85_000,
  [Operation.CANCEL]: 85_000,
  [Operation.EXPIRE]: 85_000,
  [Operation.UNFREEZE]: 85_000,
  [Operation.REGISTER_ACTOR]: 85_000,
  [Operation.SET_ACTOR_STATUS]: 75_000,
  [Operation.SET_TEAM_MEMBER]: 85_000,
  [Operation.UPDATE_HOSPITAL]: 85_000,
  [Operation.SET_RELAYER]: 90_000,
  [Operation.VOTE_ADMIT]: 190_000,
  [Operation.VOTE_STATUS]: 110_000,
  [Operation.VOTE_THRESHOLD]: 110_000,
  [Operation.ANCHOR_LEDGER]: 150_000,
};
/** An unknown operation is refused: a request slot, a record's sequence and head, one event. */
const refusalGas = 62_000;
/** 16 gas for each byte of an intent's encoding that isn't a parameter; see `intentSize`. */
const fixedCalldataGas = 16 * (32 + 8 * 32 + 32 + 32 + 96);
/** Intrinsic gas, selector and array frame, the relayer's check, the ledger's sequence and head, the `Head` event. */
const transactionOverhead = 21_000 + 16 * 68 + 25_000;

/** Upper bound of what one intent adds to its transaction's gas, calldata included. */
export function gasBound(intent: { operation: number; parameters: Uint8Array }): number {
  const padded = Math.ceil(intent.parameters.length / 32) * 32;
  return (executionGas[intent.operation] ?? refusalGas) + fixedCalldataGas + 16 * padded + parameterHashGas(padded);
}

/** Gas limit of the transaction that carries `intents`: never estimated, always enough. */
export function transactionGas(intents: Iterable<{ operation: number; parameters: Uint8Array }>): number {
  let gas = transactionOverhead;
  for (const intent of intents) gas += gasBound(intent);
  return gas;
}

/** Parameters far beyond any layout are refused, but hashed (and copied to memory) before that. */
function parameterHashGas(bytes: number): number {
  const words = bytes / 32;
  return words <= 8 ? 0 : 24 * words + Math.ceil((words * words) / 512);
}
