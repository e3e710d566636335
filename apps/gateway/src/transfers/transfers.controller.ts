import { Body, Controller, Get, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { bytesOf, hash32 } from '../http/fields.js';
import { decodeCursor, pageOf } from '../http/page.js';
import { IdempotencyKey, Prefer, type Preferences } from '../http/request-headers.js';
import { Route } from '../http/route.decorator.js';
import { OperationsService } from '../operations/operations.service.js';
import {
  type CancelBody,
  cancelSchema,
  type ProposeBody,
  proposeSchema,
  type RejectBody,
  rejectSchema,
  type TransferListQuery,
  transferDetailSchema,
  transferListQuery,
  transferPageSchema,
} from './transfer.schema.js';
import { TransferViews } from './transfer-views.service.js';
import { TransfersService } from './transfers.service.js';

const LIST = 'transfers';
/** As Postgres writes a timestamptz; a date that doesn't exist must not get as far as Postgres. */
const createdAt = z
  .string()
  .regex(/^2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?[+-](0\d|1[0-4])(:[0-5]\d)?$/)
  .refine((text) => z.iso.datetime().safeParse(`${text.slice(0, 19).replace(' ', 'T')}Z`).success);
const cursorKey = z.tuple([createdAt, z.string().regex(/^[0-9a-f]{64}$/)]);

@ApiTags('transfers')
@Controller('v1')
export class TransfersController {
  constructor(
    private readonly transfers: TransfersService,
    private readonly views: TransferViews,
    private readonly operations: OperationsService,
  ) {}

  @Post('emrs/:id/transfers')
  @Route({
    summary: 'Transfer a copy of a record to another hospital',
    description:
      'Freezes the record at its present version; proposal, delivery and completion follow by themselves, and the transfer shows how far they are. ' +
      'Every end, also a rejection, a cancellation or an expiry, unfreezes the record.',
    roles: 'any',
    act: 'creates',
    problems: ['NOT_FOUND', 'CONFLICT'],
  })
  async propose(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('id', { schema: hash32 }) id: string,
    @Body({ schema: proposeSchema }) body: ProposeBody,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const operation = await this.transfers.propose(caller, key, bytesOf(id), body);
    await this.operations.respond(reply, operation, prefer, {
      createdLocation: `/v1/transfers/${toHex(operation.requestId)}`,
      representation: async () => ({ body: await this.views.one(operation.requestId) }),
    });
  }

  @Get('transfers')
  @Route({
    summary: 'Transfers from and to this hospital',
    look: 'transfer-list',
    description: 'Newest first.',
    roles: ['clinician', 'records-officer', 'privacy-officer', 'auditor'],
    success: { 200: transferPageSchema },
    problems: ['INVALID_CURSOR'],
  })
  async list(
    @CurrentCaller() caller: Caller,
    @Query({ schema: transferListQuery }) query: TransferListQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const key = decodeCursor(LIST, query.cursor, cursorKey);
    const before = key ? { createdAt: key[0], id: Buffer.from(key[1], 'hex') } : undefined;
    const rows = await this.views.look(caller, query, before);
    const keyOf = (row: (typeof rows)[number]) => [row.createdAtText, row.id.toString('hex')];
    return pageOf({ request, reply }, LIST, rows, query.limit, keyOf, ({ view }) => view);
  }

  @Get('transfers/:id')
  @Route({
    summary: 'A transfer and its steps',
    look: 'transfer',
    roles: ['clinician', 'records-officer', 'privacy-officer', 'auditor'],
    success: { 200: transferDetailSchema },
    problems: ['NOT_FOUND'],
  })
  one(@CurrentCaller() caller: Caller, @Param('id', { schema: hash32 }) id: string) {
    return this.views.lookAt(caller, bytesOf(id));
  }

  @Post('transfers/:id/approvals')
  @Route({
    summary: 'Approve a transfer of a restricted record: not supported yet',
    description: 'Records of level 2 and 3 can not be transferred yet; always answers 409.',
    roles: ['patient', 'privacy-officer'],
    success: { 204: { description: 'Never, for now.' } },
    problems: ['CONFLICT', 'NOT_FOUND'],
  })
  async approve(@Param('id', { schema: hash32 }) id: string): Promise<void> {
    await this.views.require(bytesOf(id));
    throw new ProblemError('CONFLICT', { detail: 'Approvals are not supported yet: NOT_SUPPORTED.' });
  }

  @Post('transfers/:id/acceptance')
  @Route({
    summary: 'Accept a transfer to this hospital',
    description:
      'Once the source has completed it, the copy is opened as a record of this hospital, and you are related to it. ' +
      'Where whoever accepted cannot open it (suspended, or no longer in office), another acceptance, by a clinician or a records officer, takes ' +
      'this over: the operation is then the opening of the copy itself.',
    roles: 'any',
    act: 'changes',
    problems: ['NOT_FOUND', 'CONFLICT', 'PEER_UNAVAILABLE', 'PEER_TIMEOUT'],
  })
  async accept(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('id', { schema: hash32 }) id: string,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const operation = await this.transfers.accept(caller, key, bytesOf(id));
    await this.operations.respond(reply, operation, prefer, {
      representation: async () => ({ body: await this.views.one(bytesOf(id)) }),
    });
  }

  @Post('transfers/:id/rejection')
  @Route({
    summary: 'Reject a transfer to this hospital',
    roles: 'any',
    act: 'changes',
    problems: ['NOT_FOUND', 'CONFLICT'],
  })
  async reject(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('id', { schema: hash32 }) id: string,
    @Body({ schema: rejectSchema }) body: RejectBody,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const operation = await this.transfers.reject(caller, key, bytesOf(id), body);
    await this.operations.respond(reply, operation, prefer);
  }

  @Post('transfers/:id/cancellation')
  @Route({
    summary: 'Cancel a transfer of this hospital, as long as it is not accepted',
    description:
      'A records officer takes the transfer over besides: what is left to do at this hospital is signed in their name from then on, so that a ' +
      'transfer ends, and its record is unfrozen, though whoever began it was suspended or is no longer related to the record. ' +
      'Before the proposal, and when the transfer is at "failed" with the record still frozen, the operation is the unfreezing itself. ' +
      'What is accepted already can not be cancelled: the ledger refuses (403 TRANSFER_STATE), and the transfer is completed, or expires, ' +
      'in the name of the officer.',
    roles: 'any',
    act: 'changes',
    problems: ['NOT_FOUND', 'CONFLICT'],
  })
  async cancel(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('id', { schema: hash32 }) id: string,
    @Body({ schema: cancelSchema }) body: CancelBody,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const operation = await this.transfers.cancel(caller, key, bytesOf(id), body);
    await this.operations.respond(reply, operation, prefer);
  }
}
