import { randomBytes } from 'node:crypto';
import type { Caller } from '../../apps/gateway/src/auth/caller.js';

/** A clinician of hospital 1 whom nobody knows yet; no actor of the ledger unless told so. */
export function someCaller(given: Partial<Caller> = {}): Caller {
  const principal = randomBytes(32);
  return {
    issuer: 'issuer',
    subject: principal.toString('hex'),
    clientId: 'client',
    hospital: 1,
    roles: ['clinician'],
    tokenHash: principal,
    principal,
    ...given,
  };
}
