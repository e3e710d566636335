import { Body, Controller, Get, Param, Post, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { bytesOf, hash32 } from '../http/fields.js';
import { IdempotencyKey, Prefer, type Preferences } from '../http/request-headers.js';
import { Route } from '../http/route.decorator.js';
import { OperationsService } from '../operations/operations.service.js';
import { type QueryBody, type QueryView, querySchema, queryViewSchema } from './queries.schema.js';
import { QueriesService } from './queries.service.js';

@ApiTags('queries')
@Controller('v1')
export class QueriesController {
  constructor(
    private readonly queries: QueriesService,
    private readonly operations: OperationsService,
  ) {}

  @Post('emrs/:id/queries')
  @Route({
    summary: 'Ask for a look at a record',
    description:
      'With `Prefer: wait=5, return=representation` a confirmed query answers with the content itself, in its own media type.',
    roles: 'any',
    act: 'creates',
    produces: ['*'],
    problems: ['NOT_FOUND', 'GONE', 'PEER_UNAVAILABLE', 'PEER_TIMEOUT'],
  })
  async ask(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Prefer() prefer: Preferences,
    @Param('id', { schema: hash32 }) id: string,
    @Body({ schema: querySchema }) body: QueryBody,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const operation = await this.queries.ask(caller, key, bytesOf(id), body);
    await this.operations.respond(reply, operation, prefer, {
      createdLocation: `/v1/queries/${toHex(operation.requestId)}`,
      representation: () => this.queries.release(caller, operation.requestId),
    });
  }

  @Get('queries/:id')
  @Route({
    summary: 'A query of yours',
    look: 'query',
    roles: 'any',
    success: { 200: queryViewSchema },
    problems: ['NOT_FOUND'],
  })
  view(@CurrentCaller() caller: Caller, @Param('id', { schema: hash32 }) id: string): Promise<QueryView> {
    return this.queries.view(caller, bytesOf(id));
  }

  @Get('queries/:id/content')
  @Route({
    summary: 'The content a query of yours opened',
    look: 'release',
    description:
      'Once confirmed, until it expires. Actor, relation and grant are checked again, and the release is logged.',
    roles: 'any',
    success: {
      200: {
        description: 'The bytes as they were uploaded.',
        mediaTypes: ['application/fhir+json', '*/*'],
        headers: {
          'X-Record-Version': 'Of the record, as it was asked for.',
          'X-Event-Id': 'The event that recorded the look.',
          'X-Transaction-Hash': 'The transaction that carried it.',
          'X-Operation-Id': 'The operation it was asked with.',
        },
      },
    },
    produces: ['*'],
    problems: ['NOT_FOUND', 'CONFLICT', 'DENIED_BY_LEDGER', 'GONE', 'PEER_UNAVAILABLE', 'PEER_TIMEOUT'],
  })
  async content(
    @CurrentCaller() caller: Caller,
    @Param('id', { schema: hash32 }) id: string,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { body, mediaType, headers } = await this.queries.release(caller, bytesOf(id));
    await reply
      .code(200)
      .headers(headers ?? {})
      .type(mediaType ?? 'application/octet-stream')
      .send(body);
  }
}
