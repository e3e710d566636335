import { Body, Controller, Get, Post, Query, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Route } from '../http/route.decorator.js';
import {
  type NewUser,
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
}
