import { Body, Controller, Get, Param, Post, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { bytesOf, hash32 } from '../http/fields.js';
import { IdempotencyKey, Prefer, type Preferences } from '../http/request-headers.js';
import { Route } from '../http/route.decorator.js';
import { OperationsService } from '../operations/operations.service.js';
import {
  endingSchema,
  type RelationBody,
  type RelationView,
  relationSchema,
  relationViewSchema,
} from './relations.schema.js';
import { RelationsService } from './relations.service.js';

@ApiTags('relations')
@Controller('v1')
export class RelationsController {
  constructor(
    private readonly relations: RelationsService,
    private readonly operations: OperationsService,
  ) {}

  @Post('emrs/:id/relations')
  @Route({
    summary: 'State that an actor or a team cares for the patient of a record',
    description: 'By a related clinician or a records officer. Its id is the request id of the operation.',
    roles: 'any',
    act: 'creates',
    problems: ['NOT_FOUND'],
  })
  async start(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('id', { schema: hash32 }) id: string,
    @Body({ schema: relationSchema }) body: RelationBody,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const operation = await this.relations.start(caller, key, bytesOf(id), body);
    await this.operations.respond(reply, operation, prefer, {
      createdLocation: `/v1/relations/${toHex(operation.requestId)}`,
    });
  }

  @Get('relations/:id')
  @Route({
    summary: 'A care relation',
    look: 'relation',
    roles: 'any',
    success: { 200: relationViewSchema },
    problems: ['NOT_FOUND'],
  })
  view(@CurrentCaller() caller: Caller, @Param('id', { schema: hash32 }) id: string): Promise<RelationView> {
    return this.relations.view(caller, bytesOf(id));
  }

  @Post('relations/:id/ending')
  @Route({ summary: 'End a care relation', roles: 'any', act: 'changes', problems: ['NOT_FOUND'] })
  async end(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('id', { schema: hash32 }) id: string,
    @Body({ schema: endingSchema }) _body: unknown,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.operations.respond(reply, await this.relations.end(caller, key, bytesOf(id)), prefer);
  }
}
