import { Body, Controller, Get, HttpCode, Post, Query, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { Route } from '../http/route.decorator.js';
import {
  type NamedUser,
  type NewUser,
  namedUserSchema,
  newUserSchema,
  type UserBody,
  type UserQuery,
  userPageSchema,
  userQuery,
  userSchema,
} from './users.schema.js';
import { UsersService } from './users.service.js';

@ApiTags('admin')
@Controller('v1/admin/users')
export class UsersController {
  constructor(private readonly users: UsersService) {}

  @Get()
  @Route({
    summary: 'Users of the built-in issuer',
    look: 'users',
    roles: ['admin'],
    success: { 200: userPageSchema },
    problems: ['INVALID_CURSOR'],
  })
  list(
    @Query({ schema: userQuery }) query: UserQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.users.list(query, { request, reply });
  }

  @Post()
  @Route({
    summary: 'Add a user of the built-in issuer',
    description: 'A user may log in; to act on the ledger, register the user as an actor too.',
    roles: ['admin'],
    success: { 201: userSchema },
    problems: ['CONFLICT', 'NOT_FOUND'],
    bodyLimit: 4_096,
  })
  add(@Body({ schema: newUserSchema }) body: NewUser): Promise<UserBody> {
    return this.users.add(body);
  }

  @Post('suspension')
  @HttpCode(200)
  @Route({
    summary: 'Let a user of the built-in issuer log in no more',
    description:
      'Tokens given before open nothing any more. To keep the user from acting with other tokens, suspend the actor as well.',
    roles: ['admin'],
    success: { 200: userSchema },
    problems: ['CONFLICT', 'NOT_FOUND'],
    bodyLimit: 4_096,
  })
  suspend(@CurrentCaller() caller: Caller, @Body({ schema: namedUserSchema }) body: NamedUser): Promise<UserBody> {
    return this.users.setDisabled(caller, body.username, true);
  }

  @Post('reinstatement')
  @HttpCode(200)
  @Route({
    summary: 'Let a suspended user of the built-in issuer log in again',
    roles: ['admin'],
    success: { 200: userSchema },
    problems: ['NOT_FOUND'],
    bodyLimit: 4_096,
  })
  reinstate(@CurrentCaller() caller: Caller, @Body({ schema: namedUserSchema }) body: NamedUser): Promise<UserBody> {
    return this.users.setDisabled(caller, body.username, false);
  }
}
