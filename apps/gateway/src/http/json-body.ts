import { isUtf8 } from 'node:buffer';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ProblemError } from '../../../../libs/platform/src/errors.js';

/** Deeper than any schema of ours; parsers and validators recurse. */
const DEEPEST_JSON = 32;

/** Whether arrays and objects nest deeper than `limit`. Reads bytes, so that nothing recursive sees a hostile body first. */
export function nestsDeeperThan(body: Buffer, limit: number): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < body.length; index++) {
    const byte = body[index];
    if (inString) {
      if (byte === 0x5c) index++;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) inString = true;
    else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > limit) return true;
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
  return false;
}

/** @throws ProblemError MALFORMED_REQUEST for bytes that can't be taken for a JSON text of ours. */
export function checkJsonBytes(body: Buffer): void {
  const refuse = (detail: string) => new ProblemError('MALFORMED_REQUEST', { detail });
  if (!isUtf8(body)) throw refuse('The body is not valid UTF-8.');
  if (nestsDeeperThan(body, DEEPEST_JSON)) throw refuse(`The body nests deeper than ${DEEPEST_JSON} levels.`);
  // Postgres can't store U+0000 in text, and no field of ours has a use for it.
  if (body.includes('\\u0000') || body.includes(0)) throw refuse('The body contains the character U+0000.');
}

/** Replaces every body parser by one: JSON with the checks above, or the bytes themselves where the route asks for them. */
export function installBodyParser(instance: FastifyInstance): void {
  const parseJson = instance.getDefaultJsonParser('error', 'error');
  instance.removeAllContentTypeParsers();
  instance.addContentTypeParser(
    '*',
    { parseAs: 'buffer' },
    (request: FastifyRequest, body: Buffer, done: (error: Error | null, body?: unknown) => void) => {
      if (request.routeOptions.config.rawBody) return done(null, body);
      try {
        checkJsonBytes(body);
      } catch (error) {
        return done(error as Error);
      }
      parseJson(request, body.toString('utf8'), (error: Error | null, value?: unknown) => {
        if (!error) return done(null, value);
        done(new ProblemError('MALFORMED_REQUEST', { detail: 'The body is not valid JSON.', cause: error }));
      });
    },
  );
}
