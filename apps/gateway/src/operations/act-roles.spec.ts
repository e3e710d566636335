import { describe, expect, it } from 'vitest';
import { Operation } from '../../../../libs/contracts/src/operations.js';
import { type Caller, type RoleName, roleBits, rolesWithin } from '../auth/caller.js';
import { requireRoleOfToken } from './act-roles.js';

const may = (token: RoleName[], ledger: RoleName[] | undefined, operation: number) => () =>
  requireRoleOfToken({ roles: token, ...(ledger ? { ledgerRoles: roleBits(ledger) } : {}) } as Caller, operation);

describe('the roles of a token and those of the ledger', () => {
  it('both have to allow an act', () => {
    expect(may(['clinician'], ['clinician'], Operation.QUERY)).not.toThrow();
    expect(may([], ['clinician'], Operation.QUERY)).toThrow(expect.objectContaining({ code: 'FORBIDDEN' }));
    expect(may(['auditor'], ['clinician'], Operation.OPEN)).toThrow();
    expect(may(['clinician'], ['clinician', 'records-officer'], Operation.CLOSE)).toThrow();
    expect(may(['clinician'], ['clinician', 'privacy-officer'], Operation.GRANT)).toThrow();
    expect(may(['privacy-officer'], ['clinician', 'privacy-officer'], Operation.GRANT)).not.toThrow();
  });

  it('leave to the ledger, and so on record, what it refuses by itself', () => {
    expect(may(['auditor'], ['auditor'], Operation.QUERY)).not.toThrow();
    expect(may(['clinician'], ['clinician'], Operation.CLOSE)).not.toThrow();
    expect(may([], undefined, Operation.QUERY)).not.toThrow();
  });

  it('meet for a registered actor; roles that live in tokens alone stay', () => {
    expect(rolesWithin(['clinician', 'records-officer', 'admin', 'patient'], roleBits(['clinician']))).toEqual([
      'clinician',
      'admin',
      'patient',
    ]);
    expect(rolesWithin(['records-officer'], undefined)).toEqual(['records-officer']);
  });
});
