import { createHash, randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { createLocalJWKSet, decodeJwt, type JSONWebKeySet, jwtVerify, SignJWT } from 'jose';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { RateLimiter } from '../http/rate-limiter.js';
import { Accounts } from './accounts.service.js';
import { AssertionsStore } from './assertions.store.js';
import type { BuiltinKeys } from './builtin-keys.js';
import type { RoleName } from './caller.js';
import { algorithms, type ClientEntry, type IssuerEntry } from './issuers.js';
import type { TokenBody, TokenRequest } from './token.schema.js';

const LIFETIME_SECONDS = 3_600;
const LONGEST_ASSERTION_SECONDS = 300;
/** Clocks of client and issuer may differ by this much. */
const TOLERANCE_SECONDS = 5;
/** Guesses a minute: at one user name, and from one address. Counted before anything is hashed. */
const TRIES_PER_NAME = 10;
const TRIES_PER_ADDRESS = 60;

export interface BuiltinIssuer {
  entry: IssuerEntry;
  keys: BuiltinKeys;
  audience: string;
}

/** The built-in issuer: tokens for its own users and for registered systems. */
@Injectable()
export class TokenService {
  readonly #perName = new RateLimiter(TRIES_PER_NAME);
  readonly #perAddress = new RateLimiter(TRIES_PER_ADDRESS);

  /** @param issuer undefined when the built-in issuer is off: every request is then 404 */
  constructor(
    private readonly issuer: BuiltinIssuer | undefined,
    private readonly accounts: Accounts,
    private readonly assertions: AssertionsStore,
  ) {}

  get jwks(): JSONWebKeySet {
    return this.#on().keys.jwks;
  }

  /** @throws ProblemError UNAUTHENTICATED, TOO_MANY_REQUESTS, NOT_FOUND when the issuer is off */
  async issue(request: TokenRequest, address: string): Promise<TokenBody> {
    const issuer = this.#on();
    this.#count(this.#perAddress, address);
    if ('username' in request) return this.#forUser(issuer, request.username, request.password);
    return this.#forClient(issuer, request.clientAssertion);
  }

  async #forUser(issuer: BuiltinIssuer, username: string, password: string): Promise<TokenBody> {
    this.#count(this.#perName, username);
    const account = await this.accounts.open(username, password);
    if (!account) {
      throw new ProblemError('UNAUTHENTICATED', {
        detail: 'User name or password is wrong.',
        headers: { 'WWW-Authenticate': 'Bearer realm="emr-gateway"' },
      });
    }
    return this.#sign(issuer, account.username, 'builtin', account.roles, 'pwd');
  }

  async #forClient(issuer: BuiltinIssuer, assertion: string): Promise<TokenBody> {
    const refuse = (cause?: unknown) =>
      new ProblemError('UNAUTHENTICATED', {
        detail: 'The client assertion is not valid.',
        headers: { 'WWW-Authenticate': 'Bearer realm="emr-gateway", error="invalid_client"' },
        cause,
      });
    const client = clientOf(issuer.entry, assertion);
    if (!client) throw refuse();
    const { payload } = await jwtVerify(assertion, createLocalJWKSet(client.jwks as JSONWebKeySet), {
      issuer: client.clientId,
      subject: client.clientId,
      audience: issuer.entry.issuer,
      algorithms: [...algorithms],
      requiredClaims: ['exp', 'iat', 'jti'],
      maxTokenAge: LONGEST_ASSERTION_SECONDS,
      clockTolerance: TOLERANCE_SECONDS,
    }).catch((cause: unknown) => {
      throw refuse(cause);
    });
    const { exp = 0, iat = 0, jti } = payload;
    if (typeof jti !== 'string' || exp - iat > LONGEST_ASSERTION_SECONDS) throw refuse();
    const jtiHash = createHash('sha256').update(`${client.clientId}\n${jti}`).digest();
    // Remembered for longer than it is taken; the clock that forgets it is the database's, and may be ahead of this one.
    const forgetAt = new Date((exp + 2 * TOLERANCE_SECONDS + 1) * 1000);
    if (!(await this.assertions.useJti(jtiHash, forgetAt))) throw refuse();
    return this.#sign(issuer, client.clientId, client.clientId, client.roles, 'private_key_jwt');
  }

  async #sign(
    issuer: BuiltinIssuer,
    subject: string,
    clientId: string,
    roles: readonly string[],
    acr: string,
  ): Promise<TokenBody> {
    const { entry, keys, audience } = issuer;
    const accessToken = await new SignJWT({
      client_id: clientId,
      hospital: entry.hospital,
      roles: roles.filter((role) => entry.roles.includes(role as RoleName)),
      acr,
    })
      .setProtectedHeader({ alg: 'EdDSA', kid: keys.kid, typ: 'at+jwt' })
      .setIssuer(entry.issuer)
      .setSubject(subject)
      .setAudience(entry.audience ?? audience)
      .setIssuedAt()
      .setExpirationTime(`${LIFETIME_SECONDS}s`)
      .setJti(randomUUID())
      .sign(keys.privateKey);
    return { accessToken, tokenType: 'Bearer', expiresIn: LIFETIME_SECONDS };
  }

  #on(): BuiltinIssuer {
    if (!this.issuer)
      throw new ProblemError('NOT_FOUND', {
        detail: 'The built-in issuer is off; ask your identity provider for a token.',
      });
    return this.issuer;
  }

  #count(limiter: RateLimiter, who: string): void {
    const retryAfter = limiter.take(who);
    if (retryAfter !== undefined) throw new ProblemError('TOO_MANY_REQUESTS', { retryAfter });
  }
}

function clientOf(entry: IssuerEntry, assertion: string): ClientEntry | undefined {
  try {
    const { iss } = decodeJwt(assertion);
    return entry.clients.find((client) => client.clientId === iss);
  } catch {
    return undefined;
  }
}
