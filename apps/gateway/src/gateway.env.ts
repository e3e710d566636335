import { z } from 'zod';

const port = z.coerce.number().int().min(0).max(65_535);
const onOff = z.enum(['on', 'off']).transform((value) => value === 'on');
const optional = z
  .string()
  .optional()
  .transform((value) => value || undefined);

/** Every variable of the gateway. `.env.example` says each in one line; a test holds the two together. */
export const gatewayEnv = z
  .object({
    /** uint32, the hospital's number on the ledger. */
    HOSPITAL_ID: z.coerce.number().int().min(1).max(0xffff_ffff),
    /** e.g. hospital-a */
    HOSPITAL_SLUG: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and hyphens'),
    HOST: z.string().default('127.0.0.1'),
    PORT: port.default(4100),
    MANAGEMENT_HOST: z.string().default('127.0.0.1'),
    MANAGEMENT_PORT: port.default(4101),
    PEER_PORT: port.default(4102),
    /** Where clients reach this gateway; in the OpenAPI document. */
    PUBLIC_URL: optional,
    /** Addresses or networks (CIDR), with commas between, of the proxies in front: what they say of a client's address is believed. */
    TRUSTED_PROXIES: optional.transform((list) => list?.split(',').map((address) => address.trim())),
    /** Role `gateway`. */
    DATABASE_URL: z.string().startsWith('postgres', 'a postgres:// URL'),
    DATABASE_POOL: z.coerce.number().int().min(2).max(200).default(16),
    /** redis://… for BullMQ; without it, the same Postgres. */
    QUEUE_URL: optional,
    NETWORKS_FILE: z.string().min(1),
    ISSUERS_FILE: optional,
    PEERS_FILE: optional,
    KEYSTORE_DIR: z.string().min(1),
    KEYSTORE_PASSPHRASE_FILE: z.string().min(1),
    BUILTIN_ISSUER: onOff.default(false),
    /** { username, password } of the first administrator of the built-in issuer. */
    BOOTSTRAP_ADMIN_FILE: optional,
    /** `aud` a token must carry. */
    AUDIENCE: z.string().min(1).default('emr-gateway'),
    LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
    CONTENT_LIMIT_BYTES: z.coerce.number().int().min(1024).max(1_073_741_824).default(10_485_760),
    /** What a client may have uploaded in an hour, in all. */
    CONTENT_QUOTA_BYTES: z.coerce.number().int().min(1024).default(1_073_741_824),
    /** Requests a client may send in a minute. */
    RATE_LIMIT_PER_MINUTE: z.coerce.number().int().min(1).default(6_000),
    /** Acts that may wait for their transaction on one network before new ones are refused there. */
    QUEUE_DEPTH_LIMIT: z.coerce.number().int().min(1).default(20_000),
    /** What a patient sees of staff who looked at their record: role and team, or the log-in name as well. */
    PATIENT_SEES_STAFF: z.enum(['role', 'name']).default('role'),
    /** How long an act or a look waits at most until an anchor that covers it is on its way to the global ledger. */
    ANCHOR_SECONDS: z.coerce.number().int().min(1).max(86_400).default(60),
    /** Acts and looks that have come since the last anchor and make the next one due before its time. */
    ANCHOR_ACTS: z.coerce.number().int().min(1).default(10_000),
    /** off: this process serves the API only; another one signs and sends. */
    WORKER: onOff.default(true),
    /** Chaos runs only: where this process ends or pauses itself (libs/platform/src/failpoint.ts). */
    FAILPOINT: optional,
  })
  .refine((env) => env.CONTENT_QUOTA_BYTES >= env.CONTENT_LIMIT_BYTES, {
    path: ['CONTENT_QUOTA_BYTES'],
    message: 'at least CONTENT_LIMIT_BYTES, or the largest upload never has room',
  })
  .transform((env) => ({ ...env, PUBLIC_URL: env.PUBLIC_URL ?? `http://${env.HOST}:${env.PORT}` }));

export type GatewayEnv = z.output<typeof gatewayEnv>;

/** Injection token of the parsed environment: `@Inject(GATEWAY_ENV) env: GatewayEnv`. */
export const GATEWAY_ENV = Symbol('gateway env');
