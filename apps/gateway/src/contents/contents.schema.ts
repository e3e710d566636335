import { z } from 'zod';
import { hash32, instant } from '../http/fields.js';

/** `ct_` and 32 hex digits. */
export const contentId = z
  .string()
  .regex(/^ct_[0-9a-f]{32}$/, 'ct_ and 32 hex digits')
  .meta({ example: `ct_${'0a'.repeat(16)}` });

export const contentSchema = z
  .object({
    contentId,
    size: z.int().min(1).describe('Bytes as received.').meta({ example: 18243 }),
    sha256: hash32.describe('Of the bytes as received.'),
    mediaType: z.string().meta({ example: 'application/fhir+json' }),
    expiresAt: instant.describe('Cited by no open or amend until then, the content is gone.'),
  })
  .meta({ id: 'Content' });
export type Content = z.output<typeof contentSchema>;
