import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ProblemError } from '../../../../libs/platform/src/errors.js';

/** Members of every list's query (or `_search` body): spread into a `z.strictObject`. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(200).default(50).describe('Items at most, up to 200.'),
  cursor: z.string().max(1024).optional().describe('Opaque: `nextCursor` of the page before.'),
};

/** A page of `item`. `id` names the schema in the OpenAPI document. */
export function pageSchema<T extends z.ZodType>(item: T, id: string) {
  return z.object({ items: z.array(item), nextCursor: z.string().nullable() }).meta({ id });
}

/**
 * Opaque cursor that carries the sort key of the last item. Not secret and grants nothing: every page is authorised and filtered anew.
 * @param list name of the list, so that a cursor of another list is refused
 */
export function encodeCursor(list: string, key: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify([list, ...key])).toString('base64url');
}

/** @throws ProblemError INVALID_CURSOR unless it is one of this list, with a key that fits `schema` (a z.tuple). */
export function decodeCursor<T extends z.ZodType>(
  list: string,
  cursor: string | undefined,
  schema: T,
): z.output<T> | undefined {
  if (cursor === undefined) return undefined;
  try {
    const [name, ...key] = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')) as unknown[];
    const parsed = schema.safeParse(key);
    // Re-encoding refuses the many other spellings that base64 decoders let through.
    if (name === list && parsed.success && encodeCursor(list, key as string[]) === cursor) return parsed.data;
  } catch {
    // falls through to the one answer
  }
  throw new ProblemError('INVALID_CURSOR');
}

/**
 * Cuts `rows`, fetched with LIMIT `limit` + 1, into a page, and sets `Link: rel="next"` (RFC 8288) on GET lists.
 * @param keyOf the sort key of a row, as the list's cursor carries it
 */
export function pageOf<Row, Item>(
  exchange: { request: FastifyRequest; reply: FastifyReply },
  list: string,
  rows: readonly Row[],
  limit: number,
  keyOf: (row: Row) => (string | number)[],
  present: (row: Row) => Item,
): { items: Item[]; nextCursor: string | null } {
  const kept = rows.slice(0, limit);
  const last = kept.at(-1);
  const nextCursor = rows.length > limit && last !== undefined ? encodeCursor(list, keyOf(last)) : null;
  if (nextCursor !== null && exchange.request.method === 'GET') {
    const [path = '', query = ''] = exchange.request.url.split('?');
    const parameters = new URLSearchParams(query);
    parameters.set('cursor', nextCursor);
    exchange.reply.header('Link', `<${path}?${parameters}>; rel="next"`);
  }
  return { items: kept.map(present), nextCursor };
}
