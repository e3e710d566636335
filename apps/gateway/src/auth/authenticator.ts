import { Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { Strategy } from 'passport-jwt';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { Vault } from '../../../../libs/vault/src/vault.js';
import { ActorDirectory, type Standing } from './actor-directory.js';
import { type Caller, rolesWithin } from './caller.js';
import { Issuers } from './issuers.js';
import { missingToken, TokenVerifier, type VerifiedToken } from './token-verifier.js';

type VerifyToken = (
  token: string,
  verifier: TokenVerifier,
  options: unknown,
  done: (error: unknown, token?: VerifiedToken) => void,
) => void;

// passport-jwt verifies through jsonwebtoken, which knows no EdDSA and takes 250 µs. The hook is one per process, so it gets the verifier
// of its own gateway where the "secret" would be: two gateways may live in one process.
(Strategy as unknown as { JwtVerifier: VerifyToken }).JwtVerifier = (token, verifier, _options, done) => {
  verifier.verify(token).then(
    (verified) => done(null, verified),
    (error) => done(error),
  );
};

/** Turns the Authorization header into `request.caller`. Runs before the body is read. */
@Injectable()
export class Authenticator {
  readonly #strategy: Strategy;
  /** The same for every request with one token: kept as long as the verifier remembers the token. */
  readonly #principals = new WeakMap<VerifiedToken, Buffer>();

  constructor(
    private readonly verifier: TokenVerifier,
    private readonly issuers: Issuers,
    private readonly actors: ActorDirectory,
    private readonly vault: Vault,
  ) {
    const options = {
      jwtFromRequest: (request: { headers: Record<string, unknown> }) => bearerOf(request.headers.authorization),
      secretOrKeyProvider: (_request: unknown, _token: string, done: (error: unknown, secret: never) => void) =>
        done(null, verifier as never),
    };
    this.#strategy = new Strategy(
      options as never,
      (token: VerifiedToken, done: (error: unknown, user: VerifiedToken) => void) => done(null, token),
    );
  }

  /** @throws ProblemError UNAUTHENTICATED with WWW-Authenticate, FORBIDDEN for a suspended actor */
  async authenticate(request: FastifyRequest): Promise<void> {
    const token = await this.#verifiedToken(request);
    const { issuer, subject, clientId, hospital, roles, acr, tokenHash, expiresAt } = token;
    const { actor, ledgerRoles, suspended } = await this.#standingOf(token);
    if (suspended) throw new ProblemError('FORBIDDEN', { detail: 'This actor is suspended; ask your administrator.' });
    const caller: Caller = {
      issuer,
      subject,
      clientId,
      hospital,
      roles: rolesWithin(roles, ledgerRoles),
      ...(acr === undefined ? {} : { acr }),
      tokenHash,
      principal: this.#principalOf(token),
      ...(actor ? { actor } : {}),
      ...(ledgerRoles === undefined ? {} : { ledgerRoles }),
      expiresAt,
    };
    request.caller = caller;
  }

  #principalOf(token: VerifiedToken): Buffer {
    const known = this.#principals.get(token);
    if (known) return known;
    const principal = this.vault.principal(token);
    this.#principals.set(token, principal);
    return principal;
  }

  /** Whether the request carries a token that was found good before. */
  isKnown(request: FastifyRequest): boolean {
    const token = bearerOf(request.headers.authorization);
    return token !== null && this.verifier.isKnown(token);
  }

  /** Whether a caller of earlier would still be let in: the token hasn't ended, the actor isn't suspended. */
  async stillStands(caller: Pick<Caller, 'issuer' | 'subject' | 'expiresAt'>): Promise<boolean> {
    if (caller.expiresAt !== undefined && caller.expiresAt <= Date.now() / 1000) return false;
    return !(await this.#standingOf(caller)).suspended;
  }

  #standingOf({ issuer, subject }: Pick<Caller, 'issuer' | 'subject'>): Promise<Standing> {
    const builtin = this.issuers.find(issuer)?.entry.builtin === true;
    return this.actors.standingOf(issuer, subject, builtin);
  }

  #verifiedToken(request: FastifyRequest): Promise<VerifiedToken> {
    return new Promise((resolve, reject) => {
      // What passport would do, without passport: it makes such an object by Object.create and gives it its functions afterwards. V8 then keeps
      // the request until the next full collection, and with it every later one (docs/benchmarks.md). A literal doesn't have that.
      const attempt = {
        __proto__: this.#strategy,
        success: resolve,
        fail: (refusal: unknown) => reject(refusal instanceof ProblemError ? refusal : missingToken()),
        error: reject,
      } as unknown as Strategy;
      attempt.authenticate(request as never, {});
    });
  }
}

/** RFC 6750: the scheme in any case, one token, nothing after it. */
export function bearerOf(header: unknown): string | null {
  if (typeof header !== 'string') return null;
  return /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(header)?.[1] ?? null;
}
