import { Body, Controller, Get, Param, Post, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { IdempotencyKey, Prefer, type Preferences } from '../http/request-headers.js';
import { Route } from '../http/route.decorator.js';
import { OperationsService } from '../operations/operations.service.js';
import {
  type Admission,
  admissionSchema,
  type HospitalUpdate,
  hospitalListSchema,
  hospitalNumberInPath,
  hospitalUpdateSchema,
} from './hospitals.schema.js';
import { HospitalsService } from './hospitals.service.js';

@ApiTags('admin')
@Controller('v1/admin/hospitals')
export class HospitalsController {
  constructor(
    private readonly hospitals: HospitalsService,
    private readonly operations: OperationsService,
  ) {}

  @Get()
  @Route({
    summary: 'The registry of hospitals',
    look: 'hospitals',
    roles: 'any',
    success: { 200: hospitalListSchema },
  })
  async list() {
    return { items: await this.hospitals.list() };
  }

  @Post()
  @Route({ summary: 'Vote for admitting a hospital', roles: ['admin'], act: 'changes' })
  async admit(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Body({ schema: admissionSchema }) body: Admission,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.operations.respond(reply, await this.hospitals.admit(caller, key, body), prefer);
  }

  @Post(':id/keys')
  @Route({ summary: "Change this hospital's own keys or endpoint", roles: ['admin'], act: 'changes' })
  async updateKeys(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('id', { schema: hospitalNumberInPath }) id: number,
    @Body({ schema: hospitalUpdateSchema }) body: HospitalUpdate,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.operations.respond(reply, await this.hospitals.updateKeys(caller, key, id, body), prefer);
  }

  @Post(':id/suspension')
  @Route({ summary: 'Vote for suspending a hospital', roles: ['admin'], act: 'changes' })
  async suspend(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('id', { schema: hospitalNumberInPath }) id: number,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.operations.respond(reply, await this.hospitals.voteStatus(caller, key, id, false), prefer);
  }

  @Post(':id/reinstatement')
  @Route({ summary: 'Vote for taking a suspended hospital back', roles: ['admin'], act: 'changes' })
  async reinstate(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('id', { schema: hospitalNumberInPath }) id: number,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.operations.respond(reply, await this.hospitals.voteStatus(caller, key, id, true), prefer);
  }
}
