import { Body, Controller, Get, HttpCode, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AnchorViews } from '../anchors/anchor-views.service.js';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { pageOf } from '../http/page.js';
import { Route } from '../http/route.decorator.js';
import {
  type AuditEvent,
  type AuditPage,
  type AuditQuery,
  type AuditSearch,
  auditEventSchema,
  auditPageSchema,
  auditQuery,
  auditSearchSchema,
  eventId,
  type Integrity,
  integritySchema,
} from './audit.schema.js';
import { AuditService, EVENT_LIST } from './audit.service.js';
import { presentEvent } from './event.presenter.js';

@ApiTags('audit')
@Controller('v1/audit')
export class AuditController {
  constructor(
    private readonly audit: AuditService,
    private readonly anchors: AnchorViews,
  ) {}

  @Get('events')
  @Route({
    summary: 'Acts on record, newest first',
    look: 'audit',
    description:
      'Final ones only, allowed and denied. A patient sees those on their own records. All pages show the history as the first one found it; 409 if a ' +
      'reorganisation took that away.',
    roles: ['auditor', 'privacy-officer', 'patient'],
    success: { 200: auditPageSchema },
    problems: ['INVALID_CURSOR', 'CONFLICT'],
  })
  async events(
    @CurrentCaller() caller: Caller,
    @Query({ schema: auditQuery }) query: AuditQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<AuditPage> {
    const { rows, keyOf, ...through } = await this.audit.events(caller, query);
    const anchoredThrough = await this.anchors.through(through.confirmedThrough);
    const page = pageOf({ request, reply }, EVENT_LIST, rows, query.limit, keyOf, presentEvent);
    return { ...page, ...through, anchoredThrough };
  }

  @Post('events/_search')
  @HttpCode(200)
  @Route({
    summary: "Acts on record, also by the patient's identifier",
    look: 'audit-search',
    description: 'A POST, so that no identifier stands in a URL.',
    roles: ['auditor', 'privacy-officer'],
    success: { 200: auditPageSchema },
    problems: ['INVALID_CURSOR', 'CONFLICT'],
  })
  async search(
    @CurrentCaller() caller: Caller,
    @Body({ schema: auditSearchSchema }) body: AuditSearch,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<AuditPage> {
    const { rows, keyOf, ...through } = await this.audit.events(caller, body);
    const anchoredThrough = await this.anchors.through(through.confirmedThrough);
    const page = pageOf({ request, reply }, EVENT_LIST, rows, body.limit, keyOf, presentEvent);
    return { ...page, ...through, anchoredThrough };
  }

  @Get('events/:id')
  @Route({
    summary: 'One act on record',
    look: 'audit',
    roles: ['auditor', 'privacy-officer', 'patient'],
    success: { 200: auditEventSchema },
    problems: ['NOT_FOUND'],
  })
  event(@CurrentCaller() caller: Caller, @Param('id', { schema: eventId }) id: string): Promise<AuditEvent> {
    return this.audit.event(caller, id);
  }

  @Get('integrity')
  @Route({
    summary:
      'How far the mirror was verified, whether anything is missing, and whether every hospital is as it anchored itself',
    look: 'integrity',
    roles: ['auditor', 'privacy-officer', 'admin'],
    success: { 200: integritySchema },
  })
  async integrity(): Promise<Integrity> {
    const [mirror, hospitals] = await Promise.all([this.audit.integrity(), this.anchors.ledgers()]);
    return { ...mirror, hospitals };
  }
}
