import { readFileSync } from 'node:fs';
import { createLocalJWKSet, createRemoteJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { z } from 'zod';
import { roleNames } from './caller.js';

export const algorithms = ['RS256', 'RS384', 'ES256', 'ES384', 'EdDSA'] as const;

const jwksSchema = z.object({ keys: z.array(z.looseObject({ kty: z.string() })).min(1) });
const rolesSchema = z.array(z.enum(roleNames)).min(1);

/** A system that may ask the built-in issuer for tokens with `private_key_jwt` (RFC 7523). */
const clientSchema = z.strictObject({ clientId: z.string().min(1).max(128), jwks: jwksSchema, roles: rolesSchema });

const issuerSchema = z
  .strictObject({
    issuer: z.string().min(1).max(512),
    jwksUri: z
      .url()
      .refine(isPrivate, 'must be https: whoever can change the keys on their way can be anybody')
      .optional(),
    jwks: jwksSchema.optional(),
    builtin: z.literal(true).optional(),
    /** The only hospital this issuer may speak for. */
    hospital: z.int().min(1),
    /** Role ceiling: what else a token claims is dropped. */
    roles: rolesSchema,
    /** Default: the gateway's AUDIENCE. */
    audience: z.string().min(1).optional(),
    algorithms: z
      .array(z.enum(algorithms))
      .min(1)
      .default([...algorithms]),
    clients: z.array(clientSchema).default([]),
  })
  .refine((entry) => [entry.jwksUri, entry.jwks, entry.builtin].filter(Boolean).length === 1, {
    message: 'needs exactly one of jwksUri, jwks and builtin',
  });

/** Plain HTTP only to this machine itself. */
function isPrivate(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'https:' || (protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(hostname));
}

export type IssuerEntry = z.output<typeof issuerSchema>;
export type ClientEntry = z.output<typeof clientSchema>;

export interface TrustedIssuer {
  entry: IssuerEntry;
  keys: JWTVerifyGetKey;
}

const JWKS_TIMEOUT_MS = 3_000;

/** @throws Error naming what does not fit in ISSUERS_FILE. */
export function readIssuers(file: string | undefined): IssuerEntry[] {
  if (file === undefined) return [];
  const result = z.array(issuerSchema).safeParse(JSON.parse(readFileSync(file, 'utf8')));
  if (result.success) return result.data;
  throw new Error(
    `${file} does not fit: ${result.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ')}`,
  );
}

/** Who may vouch for callers, and with which keys. */
export class Issuers {
  readonly #byName: Map<string, TrustedIssuer>;

  /** @param builtinKeys public keys of the built-in issuer, when it is on; its entries are dropped otherwise. */
  constructor(entries: readonly IssuerEntry[], builtinKeys: JSONWebKeySet | undefined) {
    const usable = entries.filter((entry) => !entry.builtin || builtinKeys);
    this.#byName = new Map(usable.map((entry) => [entry.issuer, { entry, keys: keysOf(entry, builtinKeys) }]));
    if (this.#byName.size !== usable.length) throw new Error('ISSUERS_FILE names an issuer twice');
  }

  find(issuer: unknown): TrustedIssuer | undefined {
    return typeof issuer === 'string' ? this.#byName.get(issuer) : undefined;
  }

  get builtin(): IssuerEntry | undefined {
    return [...this.#byName.values()].find(({ entry }) => entry.builtin)?.entry;
  }
}

function keysOf(entry: IssuerEntry, builtinKeys: JSONWebKeySet | undefined): JWTVerifyGetKey {
  if (entry.jwksUri) return createRemoteJWKSet(new URL(entry.jwksUri), { timeoutDuration: JWKS_TIMEOUT_MS });
  return createLocalJWKSet((entry.jwks ?? builtinKeys) as JSONWebKeySet);
}
