import { Controller, Get, Query, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { bytesOf } from '../http/fields.js';
import { decodeCursor, pageOf } from '../http/page.js';
import { Route } from '../http/route.decorator.js';
import {
  type AccessLogEntryBody,
  type AccessLogHeadBody,
  type AccessLogQuery,
  accessLogHeadSchema,
  accessLogPageSchema,
  accessLogQuery,
} from './access-log.schema.js';
import { AccessLog } from './access-log.service.js';
import { AccessLogChain, type EntryFilter, type LinkedEntry } from './access-log-chain.service.js';

const LIST = 'access-log';
const number = z.string().regex(/^\d{1,18}$/);
/** As Postgres writes a timestamptz; a date that doesn't exist must not get as far as Postgres. */
const at = z
  .string()
  .regex(/^2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?[+-](0\d|1[0-4])(:[0-5]\d)?$/)
  .refine((text) => z.iso.datetime().safeParse(`${text.slice(0, 19).replace(' ', 'T')}Z`).success);
const cursorKey = z.tuple([at, number, number]);

@ApiTags('audit')
@Controller('v1/audit/access-log')
export class AccessLogController {
  constructor(
    private readonly chain: AccessLogChain,
    private readonly log: AccessLog,
  ) {}

  @Get()
  @Route({
    summary: 'Looks that are no acts on the ledger, and releases of content, newest first',
    look: 'access-log',
    description: 'Entries that are in the chain, as all are within a moment. This look is one of them.',
    roles: ['auditor', 'privacy-officer'],
    success: { 200: accessLogPageSchema },
    problems: ['INVALID_CURSOR'],
  })
  async entries(
    @CurrentCaller() caller: Caller,
    @Query({ schema: accessLogQuery }) query: AccessLogQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const key = decodeCursor(LIST, query.cursor, cursorKey);
    const through = key ? key[2] : (await this.chain.head()).sequence;
    const before = key ? { at: key[0], id: key[1] } : undefined;
    const filter = filterOf(query);
    const rows = await this.chain.entries(filter, through, before, query.limit + 1);
    const { limit, cursor: _, recordId: __, ...named } = query;
    await this.log.record(caller, {
      kind: 'access-log',
      ...(filter.recordId ? { recordId: filter.recordId } : {}),
      detail: { ...named, limit, found: Math.min(rows.length, limit) },
    });
    const keyOf = (row: LinkedEntry) => [row.atText, row.id, through];
    return { ...pageOf({ request, reply }, LIST, rows, limit, keyOf, present), through };
  }

  @Get('head')
  @Route({
    summary: 'How far the access log is chained, and the head that proves it',
    look: 'access-log',
    roles: ['auditor', 'privacy-officer', 'admin'],
    success: { 200: accessLogHeadSchema },
  })
  async head(@CurrentCaller() caller: Caller): Promise<AccessLogHeadBody> {
    const { sequence, head, linkedAt } = await this.chain.head();
    await this.log.record(caller, { kind: 'access-log', detail: { head: sequence } });
    return { sequence, head: toHex(head), linkedAt: linkedAt?.toISOString() ?? null };
  }
}

function filterOf({ recordId, principal, actor, kind, from, to }: AccessLogQuery): EntryFilter {
  return {
    ...(recordId ? { recordId: bytesOf(recordId) } : {}),
    ...(principal ? { principal: bytesOf(principal) } : {}),
    ...(actor ? { actor: bytesOf(actor) } : {}),
    ...(kind ? { kind } : {}),
    ...(from ? { from } : {}),
    ...(to ? { to } : {}),
  };
}

function present(row: LinkedEntry): AccessLogEntryBody {
  const { sequence, id, at: time, principal, actor, kind, recordId, requestId, detail, leaf, head } = row;
  return {
    sequence,
    id,
    at: time.toISOString(),
    principal: toHex(principal),
    actor: actor && toHex(actor),
    kind: kind as AccessLogEntryBody['kind'],
    recordId: recordId && toHex(recordId),
    requestId: requestId && toHex(requestId),
    detail,
    leaf: toHex(leaf),
    head: toHex(head),
  };
}
