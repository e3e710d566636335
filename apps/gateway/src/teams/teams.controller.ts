import { Body, Controller, Get, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { address20 } from '../http/fields.js';
import { IdempotencyKey, Prefer, type Preferences } from '../http/request-headers.js';
import { Route } from '../http/route.decorator.js';
import { OperationsService } from '../operations/operations.service.js';
import {
  type Membership,
  membershipSchema,
  type TeamMemberQuery,
  teamMemberPageSchema,
  teamMemberQuery,
} from './teams.schema.js';
import { TeamsService } from './teams.service.js';

@ApiTags('admin')
@Controller('v1/admin/teams')
export class TeamsController {
  constructor(
    private readonly teams: TeamsService,
    private readonly operations: OperationsService,
  ) {}

  @Get(':team/members')
  @Route({
    summary: 'Members of a team',
    look: 'teams',
    description: 'A team that nobody is in is an empty list: teams are addresses that a hospital chooses.',
    roles: ['admin', 'auditor', 'records-officer'],
    success: { 200: teamMemberPageSchema },
    problems: ['INVALID_CURSOR'],
  })
  members(
    @Param('team', { schema: address20 }) team: string,
    @Query({ schema: teamMemberQuery }) query: TeamMemberQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.teams.members(team, query, { request, reply });
  }

  @Post(':team/members')
  @Route({
    summary: 'Take an actor into a team',
    description: 'Choose any address for a new team: twenty random bytes, never the address of a key.',
    roles: ['admin'],
    act: 'changes',
  })
  async add(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('team', { schema: address20 }) team: string,
    @Body({ schema: membershipSchema }) body: Membership,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.operations.respond(reply, await this.teams.setMember(caller, key, team, body, true), prefer);
  }

  @Post(':team/members/removal')
  @Route({ summary: 'Take an actor out of a team', roles: ['admin'], act: 'changes' })
  async remove(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('team', { schema: address20 }) team: string,
    @Body({ schema: membershipSchema }) body: Membership,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.operations.respond(reply, await this.teams.setMember(caller, key, team, body, false), prefer);
  }
}
