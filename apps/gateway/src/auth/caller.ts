import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { ProblemError } from '../../../../libs/platform/src/errors.js';

export const roleNames = [
  'clinician',
  'records-officer',
  'privacy-officer',
  'patient',
  'device',
  'admin',
  'auditor',
] as const;
export type RoleName = (typeof roleNames)[number];

/** The ledger's bit of each role (Roles in Codes.sol). */
const roleBit: Record<RoleName, number> = {
  clinician: 1,
  'records-officer': 2,
  'privacy-officer': 4,
  patient: 8,
  device: 16,
  admin: 32,
  auditor: 64,
};

export function roleBits(roles: readonly RoleName[]): number {
  return roles.reduce((bits, role) => bits | roleBit[role], 0);
}

export function rolesOfBits(bits: number): RoleName[] {
  return roleNames.filter((role) => (bits & roleBit[role]) !== 0);
}

/** Who asks, as the verified token and the ledger's mirror say. Never read from body, query or header. */
export interface Caller {
  issuer: string;
  subject: string;
  clientId: string;
  /** Always this gateway's own: other hospitals' tokens are refused. */
  hospital: number;
  /** Token's roles within the issuer's ceiling. */
  roles: RoleName[];
  acr?: string;
  /** SHA-256 of the token as received. */
  tokenHash: Buffer;
  /** HMAC of issuer, client and subject: what tables store instead of names. */
  principal: Buffer;
  /** The caller's own address on the ledger; absent for whom none was registered (auditors, admins, systems may have none). */
  actor?: { address: Buffer; custody: 'gateway' | 'self' };
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the authentication hook on every route that isn't public. */
    caller?: Caller;
  }
}

/** The authenticated caller of this request: `@CurrentCaller() caller: Caller`. */
export const CurrentCaller = createParamDecorator((_: unknown, context: ExecutionContext): Caller => {
  const { caller } = context.switchToHttp().getRequest<FastifyRequest>();
  if (!caller) throw new ProblemError('UNAUTHENTICATED');
  return caller;
});

/** The caller's address and custody. @throws ProblemError FORBIDDEN when none is registered: only actors act on the ledger. */
export function actorOf(caller: Caller): NonNullable<Caller['actor']> {
  if (!caller.actor) {
    throw new ProblemError('FORBIDDEN', {
      detail: 'No actor of the ledger is registered for you; ask your administrator.',
    });
  }
  return caller.actor;
}
