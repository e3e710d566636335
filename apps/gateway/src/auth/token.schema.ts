import { z } from 'zod';
import { address20 } from '../http/fields.js';
import { roleNames } from './caller.js';

const passwordGrant = z.strictObject({
  username: z.string().min(1).max(64).meta({ example: 'clinician.a' }),
  password: z.string().min(1).max(256).meta({ example: 'as printed by npm start' }),
});

export const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

const clientGrant = z.strictObject({
  grantType: z.literal('client_credentials'),
  clientAssertionType: z.literal(assertionType),
  /** RFC 7523: signed by the client, `aud` this issuer, single-use `jti`, at most five minutes. */
  clientAssertion: z.string().min(1).max(3_000),
});

export const tokenRequestSchema = z.union([passwordGrant, clientGrant]).meta({ id: 'TokenRequest' });
export type TokenRequest = z.output<typeof tokenRequestSchema>;

export const tokenSchema = z
  .object({ accessToken: z.string(), tokenType: z.literal('Bearer'), expiresIn: z.int().meta({ example: 3600 }) })
  .meta({ id: 'Token' });
export type TokenBody = z.output<typeof tokenSchema>;

export const jwksSchema = z.object({ keys: z.array(z.record(z.string(), z.unknown())) }).meta({ id: 'JsonWebKeySet' });

export const meSchema = z
  .object({
    issuer: z.string(),
    subject: z.string(),
    clientId: z.string(),
    hospital: z.int(),
    roles: z.array(z.enum(roleNames)),
    acr: z.string().optional(),
    actor: z.object({ address: address20, custody: z.enum(['gateway', 'self']) }).optional(),
  })
  .meta({ id: 'Me' });
export type MeBody = z.output<typeof meSchema>;
