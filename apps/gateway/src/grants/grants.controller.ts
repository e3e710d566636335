import { Body, Controller, Get, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { bytesOf, hash32 } from '../http/fields.js';
import { decodeCursor, pageOf } from '../http/page.js';
import { IdempotencyKey, Prefer, type Preferences } from '../http/request-headers.js';
import { Route } from '../http/route.decorator.js';
import { OperationsService } from '../operations/operations.service.js';
import {
  type GrantBody,
  type GrantListQuery,
  type GrantView,
  grantListQuery,
  grantPageSchema,
  grantSchema,
  grantViewSchema,
  type RevocationBody,
  revocationSchema,
} from './grants.schema.js';
import { GrantsService, presentGrant } from './grants.service.js';
import type { GrantRow } from './grants.store.js';

const LIST = 'grants';
const cursorKey = z.tuple([z.int(), z.string().regex(/^[0-9a-f]{64}$/)]);
const keyOf = (row: GrantRow) => [row.grantedAt, row.grantId.toString('hex')];

@ApiTags('grants')
@Controller('v1')
export class GrantsController {
  constructor(
    private readonly grants: GrantsService,
    private readonly operations: OperationsService,
  ) {}

  @Post('emrs/:id/grants')
  @Route({
    summary: 'Grant access to a record',
    description:
      "By the record's patient, or by a privacy officer with the patient's consent. A grant to another hospital stands on the global ledger. Its id is the request id of the operation.",
    roles: 'any',
    act: 'creates',
    problems: ['NOT_FOUND', 'CONFLICT'],
  })
  async give(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('id', { schema: hash32 }) id: string,
    @Body({ schema: grantSchema }) body: GrantBody,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const operation = await this.grants.give(caller, key, bytesOf(id), body);
    await this.operations.respond(reply, operation, prefer, {
      createdLocation: `/v1/grants/${toHex(operation.requestId)}`,
    });
  }

  @Get('emrs/:id/grants')
  @Route({
    summary: 'Grants on a record',
    look: 'grants',
    roles: 'any',
    success: { 200: grantPageSchema },
    problems: ['NOT_FOUND', 'INVALID_CURSOR'],
  })
  async list(
    @CurrentCaller() caller: Caller,
    @Param('id', { schema: hash32 }) id: string,
    @Query({ schema: grantListQuery }) query: GrantListQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const key = decodeCursor(LIST, query.cursor, cursorKey);
    const before = key && { grantedAt: key[0], grantId: Buffer.from(key[1], 'hex') };
    const rows = await this.grants.list(caller, bytesOf(id), before, query.limit);
    return pageOf({ request, reply }, LIST, rows, query.limit, keyOf, presentGrant);
  }

  @Get('grants/:id')
  @Route({
    summary: 'A grant',
    look: 'grants',
    roles: 'any',
    success: { 200: grantViewSchema },
    problems: ['NOT_FOUND'],
  })
  view(@CurrentCaller() caller: Caller, @Param('id', { schema: hash32 }) id: string): Promise<GrantView> {
    return this.grants.view(caller, bytesOf(id));
  }

  @Post('grants/:id/revocation')
  @Route({ summary: 'Revoke a grant', roles: 'any', act: 'changes', problems: ['NOT_FOUND'] })
  async revoke(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('id', { schema: hash32 }) id: string,
    @Body({ schema: revocationSchema }) body: RevocationBody,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.operations.respond(reply, await this.grants.revoke(caller, key, bytesOf(id), body), prefer);
  }
}
