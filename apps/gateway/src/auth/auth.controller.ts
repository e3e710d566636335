import { Body, Controller, Get, HttpCode, Post, Req } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { Route } from '../http/route.decorator.js';
import { type Caller, CurrentCaller } from './caller.js';
import {
  jwksSchema,
  type MeBody,
  meSchema,
  type TokenBody,
  type TokenRequest,
  tokenRequestSchema,
  tokenSchema,
} from './token.schema.js';
import { TokenService } from './token.service.js';

@ApiTags('auth')
@Controller('v1')
export class AuthController {
  constructor(private readonly tokens: TokenService) {}

  @Post('auth/token')
  @HttpCode(200)
  @Route({
    summary: 'A token of the built-in issuer',
    description: 'For users of the built-in issuer (name and password), or for a registered system (private_key_jwt).',
    roles: 'public',
    success: { 200: tokenSchema },
    problems: ['UNAUTHENTICATED', 'NOT_FOUND'],
    bodyLimit: 4_096,
  })
  token(@Body({ schema: tokenRequestSchema }) body: TokenRequest, @Req() request: FastifyRequest): Promise<TokenBody> {
    return this.tokens.issue(body, request.ip);
  }

  @Get('auth/jwks.json')
  @Route({
    summary: 'Public keys of the built-in issuer',
    roles: 'public',
    success: { 200: jwksSchema },
    problems: ['NOT_FOUND'],
    produces: ['application/jwk-set+json'],
  })
  jwks() {
    return this.tokens.jwks;
  }

  @Get('me')
  @Route({ summary: 'Who am I, and what may I do', roles: 'any', success: { 200: meSchema } })
  me(@CurrentCaller() caller: Caller): MeBody {
    const { issuer, subject, clientId, hospital, roles, acr, actor } = caller;
    return {
      issuer,
      subject,
      clientId,
      hospital,
      roles,
      ...(acr === undefined ? {} : { acr }),
      ...(actor ? { actor: { address: toHex(actor.address), custody: actor.custody } } : {}),
    };
  }
}
