import { Body, Controller, Get, HttpCode, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { bytesOf, hash32 } from '../http/fields.js';
import { decodeCursor, pageOf } from '../http/page.js';
import { IdempotencyKey, IfMatch, Prefer, type Preferences, versionTag } from '../http/request-headers.js';
import { Route } from '../http/route.decorator.js';
import { OperationsService } from '../operations/operations.service.js';
import type { LedgerRecord } from '../policy/ledger-record.js';
import { EmrViews, presentEmr } from './emr-views.service.js';
import {
  type AccountBody,
  type AmendBody,
  accountSchema,
  amendSchema,
  closureReasons,
  closureSchema,
  type Emr,
  type EmrListQuery,
  type EmrSearch,
  emrListQuery,
  emrPageSchema,
  emrSchema,
  emrSearchSchema,
  type OpenBody,
  openSchema,
  reopeningReasons,
  reopeningSchema,
} from './emrs.schema.js';
import { EmrsService } from './emrs.service.js';
import { Patients } from './patients.service.js';

const LIST = 'emrs';
const cursorKey = z.tuple([z.int(), z.string().regex(/^[0-9a-f]{64}$/)]);
const keyOf = (row: LedgerRecord) => [row.openedAt, row.recordId.toString('hex')];

function before(cursor: string | undefined) {
  const key = decodeCursor(LIST, cursor, cursorKey);
  return key ? { before: { openedAt: key[0], recordId: Buffer.from(key[1], 'hex') } } : {};
}

@ApiTags('emrs')
@Controller('v1/emrs')
export class EmrsController {
  constructor(
    private readonly emrs: EmrsService,
    private readonly views: EmrViews,
    private readonly patients: Patients,
    private readonly operations: OperationsService,
  ) {}

  @Post()
  @Route({
    summary: 'Open a record for a patient',
    description: 'Cites uploaded content, which becomes version 1. The opener gains the care relation.',
    roles: ['clinician'],
    act: 'creates',
  })
  async open(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Body({ schema: openSchema }) body: OpenBody,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const operation = await this.emrs.open(caller, key, body);
    await this.operations.respond(reply, operation, prefer, {
      createdLocation: `/v1/emrs/${toHex(operation.recordId)}`,
    });
  }

  @Get()
  @Route({
    summary: 'Records you may see',
    look: 'record-list',
    description: 'Metadata, newest first: records you or a team of yours is related to, or that a grant opens to you.',
    roles: 'any',
    success: { 200: emrPageSchema },
    problems: ['INVALID_CURSOR'],
  })
  async list(
    @CurrentCaller() caller: Caller,
    @Query({ schema: emrListQuery }) query: EmrListQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const rows = await this.views.list(caller, { limit: query.limit, ...before(query.cursor) });
    return pageOf({ request, reply }, LIST, rows, query.limit, keyOf, presentEmr);
  }

  @Post('_search')
  @HttpCode(200)
  @Route({
    summary: "Records by the patient's identifier",
    look: 'record-search',
    description: 'A POST, so that no identifier stands in a URL.',
    roles: ['clinician', 'records-officer', 'privacy-officer'],
    success: { 200: emrPageSchema },
    problems: ['INVALID_CURSOR'],
  })
  async search(
    @CurrentCaller() caller: Caller,
    @Body({ schema: emrSearchSchema }) body: EmrSearch,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const rows = await this.views.search(caller, body.identifier, { limit: body.limit, ...before(body.cursor) });
    return pageOf({ request, reply }, LIST, rows, body.limit, keyOf, presentEmr);
  }

  @Get(':id')
  @Route({
    summary: "A record's metadata",
    look: 'record-metadata',
    description: 'Never content: that takes a query.',
    roles: 'any',
    success: { 200: { schema: emrSchema, headers: { ETag: 'Version of the record, such as "v3".' } } },
    problems: ['NOT_FOUND'],
  })
  async one(
    @CurrentCaller() caller: Caller,
    @Param('id', { schema: hash32 }) id: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Emr> {
    const record = await this.views.one(caller, bytesOf(id));
    reply.header('etag', versionTag(record.version));
    return presentEmr(record);
  }

  @Post(':id/versions')
  @Route({
    summary: 'Amend a record: add a version',
    roles: 'any',
    act: 'creates',
    ifMatch: true,
    problems: ['NOT_FOUND', 'PRECONDITION_FAILED', 'PRECONDITION_REQUIRED'],
  })
  async amend(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @IfMatch() version: number,
    @Prefer() prefer: Preferences,
    @Param('id', { schema: hash32 }) id: string,
    @Body({ schema: amendSchema }) body: AmendBody,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const operation = await this.emrs.amend(caller, key, bytesOf(id), version, body);
    await this.operations.respond(reply, operation, prefer, {
      createdLocation: `/v1/emrs/${toHex(operation.recordId)}`,
    });
  }

  @Post(':id/closure')
  @Route({ summary: 'Close a record: no more amendments', roles: 'any', act: 'changes', problems: ['NOT_FOUND'] })
  async close(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('id', { schema: hash32 }) id: string,
    @Body({ schema: closureSchema }) body: { reason: keyof typeof closureReasons },
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const change = { closed: true, reason: closureReasons[body.reason] };
    await this.operations.respond(reply, await this.emrs.setClosed(caller, key, bytesOf(id), change), prefer);
  }

  @Post(':id/reopening')
  @Route({ summary: 'Reopen a closed record', roles: 'any', act: 'changes', problems: ['NOT_FOUND'] })
  async reopen(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('id', { schema: hash32 }) id: string,
    @Body({ schema: reopeningSchema }) body: { reason: keyof typeof reopeningReasons },
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const change = { closed: false, reason: reopeningReasons[body.reason] };
    await this.operations.respond(reply, await this.emrs.setClosed(caller, key, bytesOf(id), change), prefer);
  }

  @Post(':id/subject-account')
  @HttpCode(204)
  @Route({
    summary: "Let a log-in stand for the record's patient",
    description: 'From then on that patient sees their records and decides on grants. Repeating it changes nothing.',
    roles: ['records-officer'],
    success: { 204: { description: 'Linked.' } },
    problems: ['NOT_FOUND'],
  })
  async linkAccount(
    @CurrentCaller() caller: Caller,
    @Param('id', { schema: hash32 }) id: string,
    @Body({ schema: accountSchema }) body: AccountBody,
  ): Promise<void> {
    await this.patients.linkAccount(caller, bytesOf(id), body.issuer ?? caller.issuer, body.subject);
  }
}
