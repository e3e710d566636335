import { Operation, Role } from '../../../../libs/contracts/src/operations.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { type Caller, roleBits } from '../auth/caller.js';

const IN_CHARGE = Role.CLINICIAN | Role.RECORDS_OFFICER;

/** Roles of an actor that the ledger takes for an operation (libs/contracts/solidity). Others ask for none of a caller's own. */
const accepted: Record<number, number> = {
  [Operation.OPEN]: Role.CLINICIAN,
  [Operation.AMEND]: Role.CLINICIAN,
  [Operation.QUERY]: Role.CLINICIAN | Role.RECORDS_OFFICER | Role.PRIVACY_OFFICER | Role.PATIENT | Role.DEVICE,
  [Operation.RELATE]: IN_CHARGE,
  [Operation.UNRELATE]: IN_CHARGE,
  [Operation.CLOSE]: Role.RECORDS_OFFICER,
  [Operation.REOPEN]: Role.RECORDS_OFFICER,
  [Operation.GRANT]: Role.PRIVACY_OFFICER,
  [Operation.REVOKE]: Role.PRIVACY_OFFICER,
  [Operation.FREEZE]: IN_CHARGE,
  [Operation.UNFREEZE]: IN_CHARGE,
  [Operation.PROPOSE]: IN_CHARGE,
  [Operation.ACCEPT]: IN_CHARGE,
  [Operation.COMPLETE]: IN_CHARGE,
  [Operation.REJECT]: IN_CHARGE,
  [Operation.CANCEL]: IN_CHARGE,
  [Operation.EXPIRE]: IN_CHARGE,
};

/**
 * The ledger knows what an actor may do, but not what the token at hand carries: an identity provider may have taken a role away, or issued a token
 * for less. What the ledger would refuse anyway is left to it, so that the refusal is on record.
 * @throws ProblemError FORBIDDEN when the ledger would allow `operation` by a role that the token doesn't carry
 */
export function requireRoleOfToken({ roles, ledgerRoles = 0 }: Caller, operation: number): void {
  const deciding = ledgerRoles & (accepted[operation] ?? 0);
  if (deciding !== 0 && (deciding & roleBits(roles)) === 0) {
    throw new ProblemError('FORBIDDEN', { detail: 'Your token does not carry the role that this act takes.' });
  }
}
