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

/** Roles that act on records: who is registered as an actor has them as far as the ledger says so, too. The others live in tokens alone. */
const ledgerRoles: readonly RoleName[] = ['clinician', 'records-officer', 'privacy-officer', 'device'];

/** What is left of a token's roles once the ledger was asked. @param bits roles of the registered actor; undefined when there is none */
export function rolesWithin(roles: readonly RoleName[], bits: number | undefined): RoleName[] {
  return roles.filter((role) => bits === undefined || !ledgerRoles.includes(role) || (bits & roleBit[role]) !== 0);
}

/** Who asks, as the verified token and the ledger's mirror say. Never read from body, query or header. */
export interface Caller {
  issuer: string;
  subject: string;
  clientId: string;
  /** Always this gateway's own: other hospitals' tokens are refused. */
  hospital: number;
  /** Token's roles within the issuer's ceiling and, for a registered actor, within those the ledger has. */
  roles: RoleName[];
  acr?: string;
  /** SHA-256 of the token as received. */
  tokenHash: Buffer;
  /** HMAC of issuer, client and subject: what tables store instead of names. */
  principal: Buffer;
  /** The caller's own address on the ledger; absent for whom none was registered (auditors, admins, systems may have none). */
  actor?: { address: Buffer; custody: 'gateway' | 'self' };
  /** Bits of the actor's roles on the local ledger, where it is registered. */
  ledgerRoles?: number;
  /** When the token ends, unix seconds. */
  expiresAt?: number;
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
