import { Body, Controller, Get, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { address20 } from '../http/fields.js';
import { IdempotencyKey, Prefer, type Preferences } from '../http/request-headers.js';
import { Route } from '../http/route.decorator.js';
import { OperationsService } from '../operations/operations.service.js';
import {
  type ActorBody,
  type ActorQuery,
  actorPageSchema,
  actorQuery,
  actorSchema,
  type Registration,
  registrationSchema,
} from './actors.schema.js';
import { ActorsService } from './actors.service.js';

@ApiTags('admin')
@Controller('v1/admin/actors')
export class ActorsController {
  constructor(
    private readonly actors: ActorsService,
    private readonly operations: OperationsService,
  ) {}

  @Get()
  @Route({
    summary: 'Actors of this hospital',
    look: 'actors',
    roles: ['admin', 'auditor', 'records-officer'],
    success: { 200: actorPageSchema },
    problems: ['INVALID_CURSOR'],
  })
  list(
    @Query({ schema: actorQuery }) query: ActorQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.actors.list(query, { request, reply });
  }

  @Get(':address')
  @Route({
    summary: 'One actor',
    look: 'actors',
    roles: ['admin', 'auditor', 'records-officer'],
    success: { 200: actorSchema },
  })
  get(@Param('address', { schema: address20 }) address: string): Promise<ActorBody> {
    return this.actors.find(address);
  }

  @Post()
  @Route({
    summary: 'Register an actor on the ledgers',
    description: 'Binds the subject of an issuer to an address; asked again, it changes the roles.',
    roles: ['admin'],
    act: 'creates',
    problems: ['CONFLICT'],
  })
  async register(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Body({ schema: registrationSchema }) body: Registration,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { operation, address } = await this.actors.register(caller, key, body);
    await this.operations.respond(reply, operation, prefer, { createdLocation: `/v1/admin/actors/${address}` });
  }

  @Post(':address/suspension')
  @Route({ summary: 'Suspend an actor', roles: ['admin'], act: 'changes' })
  async suspend(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('address', { schema: address20 }) address: string,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.operations.respond(reply, await this.actors.setActive(caller, key, address, false), prefer);
  }

  @Post(':address/reinstatement')
  @Route({ summary: 'Reinstate a suspended actor', roles: ['admin'], act: 'changes' })
  async reinstate(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('address', { schema: address20 }) address: string,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.operations.respond(reply, await this.actors.setActive(caller, key, address, true), prefer);
  }
}
