import { Readable } from 'node:stream';
import { Controller, Get, HttpCode, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { Route } from '../http/route.decorator.js';
import { presentOperation } from './operation.presenter.js';
import {
  type OperationBody,
  type OperationQuery,
  operationId,
  operationPageSchema,
  operationQuery,
  operationSchema,
} from './operation.schema.js';
import { OperationAccess } from './operation-access.service.js';

@ApiTags('operations')
@Controller('v1/operations')
export class OperationsController {
  constructor(private readonly access: OperationAccess) {}

  @Get()
  @Route({
    summary: 'Operations, newest first',
    look: 'operation-list',
    description: 'Your own; administrators and auditors see all.',
    roles: 'any',
    success: { 200: operationPageSchema },
    problems: ['INVALID_CURSOR'],
  })
  list(
    @CurrentCaller() caller: Caller,
    @Query({ schema: operationQuery }) query: OperationQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.access.list(caller, query, { request, reply });
  }

  @Get(':id')
  @Route({ summary: 'One operation', look: 'operation', roles: 'any', success: { 200: operationSchema } })
  async get(@CurrentCaller() caller: Caller, @Param('id', { schema: operationId }) id: string): Promise<OperationBody> {
    return presentOperation(await this.access.look(caller, id));
  }

  @Get(':id/stream')
  @Route({
    summary: 'The life of an operation as server-sent events',
    look: 'operation',
    description: 'An `operation` event at each change of state; ends at a final state.',
    roles: 'any',
    produces: ['text/event-stream'],
    success: { 200: { description: 'Events whose data is the operation.', mediaTypes: ['text/event-stream'] } },
  })
  async stream(
    @CurrentCaller() caller: Caller,
    @Param('id', { schema: operationId }) id: string,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const first = await this.access.look(caller, id);
    await reply
      .type('text/event-stream')
      .header('x-accel-buffering', 'no')
      .send(Readable.from(this.access.stream(caller, first)));
  }

  @Post(':id/cancellation')
  @HttpCode(200)
  @Route({
    summary: 'Withdraw an operation that is not signed yet',
    description:
      'Once signed it may be mined at any moment, so this answers 409 and changes nothing. Where its transaction is stuck, an administrator can ask ' +
      'for a NOOP at its nonce, which ends it `cancelled` if the NOOP is what is mined.',
    roles: 'any',
    success: { 200: operationSchema },
    problems: ['CONFLICT'],
  })
  cancel(@CurrentCaller() caller: Caller, @Param('id', { schema: operationId }) id: string): Promise<OperationBody> {
    return this.access.cancel(caller, id);
  }
}
