import { z } from 'zod';
import { auditEventSchema } from '../audit/audit.schema.js';
import { chainInteger, instant } from '../http/fields.js';

const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost']);

/** https, or http to this very machine; nothing that would end up in a log as a secret. */
const receiver = z
  .string()
  .max(2_000)
  .refine((text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url === undefined || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
      return false;
    return url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.has(url.hostname));
  }, 'an https URL without user, query or fragment (http on a loopback address)')
  .meta({ example: 'https://ehr.hospital.example/emr-events' });

export const webhookId = z.uuid().meta({ example: '0b6f4c8e-53a7-4c1e-9f0d-0c6d1f2b9a11' });

export const newWebhookSchema = z
  .strictObject({
    url: receiver,
    types: z
      .array(auditEventSchema.shape.type.regex(/^[A-Z][A-Za-z]{1,40}$/))
      .min(1)
      .max(40)
      .optional()
      .describe('Event types to send; all unless given.'),
    from: z
      .enum(['now', 'beginning'])
      .default('now')
      .describe('`now`: events that become final from here on; `beginning`: the whole history first.'),
  })
  .meta({
    id: 'NewWebhook',
    examples: [{ url: 'https://ehr.hospital.example/emr-events', types: ['TransferProposed'] }],
  });
export type NewWebhook = z.output<typeof newWebhookSchema>;

export const webhookSchema = z
  .object({
    id: webhookId,
    url: z.string().meta({ example: 'https://ehr.hospital.example/emr-events' }),
    types: z
      .array(z.string())
      .nullable()
      .meta({ example: ['TransferProposed'] }),
    createdAt: instant,
    delivered: z
      .record(z.string(), chainInteger)
      .describe('Per network: sequence of the last event that the receiver took.')
      .meta({ example: { local: '812', global: '40' } }),
    behind: z.int().describe('Final events it was not told of yet.').meta({ example: 0 }),
    failingSince: instant.nullable(),
    lastFailure: z.string().nullable().describe('HTTP_<status>, TIMEOUT or UNREACHABLE.').meta({ example: 'HTTP_500' }),
    nextAttemptAt: instant,
    publicKey: z
      .string()
      .describe("This hospital's Ed25519 key, base64 of 32 bytes: deliveries are signed with it (RFC 9421).")
      .meta({ example: '11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=' }),
  })
  .meta({ id: 'Webhook' });
export type WebhookBody = z.output<typeof webhookSchema>;

export const webhookListSchema = z.object({ items: z.array(webhookSchema) }).meta({ id: 'WebhookList' });
