import { Body, Controller, Get, HttpCode, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { bytesOf, hash32 } from '../http/fields.js';
import { pageOf } from '../http/page.js';
import { Route } from '../http/route.decorator.js';
import { type AccessQuery, accessPageSchema, accessQuery } from './accesses.schema.js';
import { ACCESS_LIST, AccessesService, accessKey } from './accesses.service.js';
import {
  type DisclosureQuery,
  type DisclosureSearch,
  disclosurePageSchema,
  disclosureQuery,
  disclosureSearchSchema,
} from './disclosures.schema.js';
import { DISCLOSURE_LIST, DisclosuresService, disclosureKey } from './disclosures.service.js';

@ApiTags('disclosures')
@Controller('v1')
export class DisclosuresController {
  constructor(
    private readonly disclosures: DisclosuresService,
    private readonly accesses: AccessesService,
  ) {}

  @Get('me/disclosures')
  @Route({
    summary: 'To whom your records were disclosed',
    look: 'disclosures',
    description:
      'Accounting of disclosures (45 CFR 164.528): who received, when, what, why, for the last six years, newest first: copies and looks at other hospitals, ' +
      'and looks here for other reasons than treatment.',
    roles: ['patient'],
    success: { 200: disclosurePageSchema },
    problems: ['INVALID_CURSOR'],
  })
  async own(
    @CurrentCaller() caller: Caller,
    @Query({ schema: disclosureQuery }) query: DisclosureQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const { rows, present } = await this.disclosures.own(caller, query);
    return pageOf({ request, reply }, DISCLOSURE_LIST, rows, query.limit, disclosureKey, present);
  }

  @Post('disclosures/_search')
  @HttpCode(200)
  @Route({
    summary: "To whom a patient's records were disclosed",
    look: 'disclosures',
    description:
      "As the patient sees it, with addresses on the ledger. By record or by the patient's identifier; a POST, so that none stands in a URL.",
    roles: ['privacy-officer', 'records-officer'],
    success: { 200: disclosurePageSchema },
    problems: ['INVALID_CURSOR'],
  })
  async search(
    @CurrentCaller() caller: Caller,
    @Body({ schema: disclosureSearchSchema }) body: DisclosureSearch,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const { rows, present } = await this.disclosures.search(caller, body);
    return pageOf({ request, reply }, DISCLOSURE_LIST, rows, body.limit, disclosureKey, present);
  }

  @Get('emrs/:id/accesses')
  @Route({
    summary: 'Who looked at your record',
    look: 'record-accesses',
    description:
      'Every request for its content, allowed or refused, every release, and every look at its metadata, grants, transfers and history, newest first. ' +
      'Staff is shown by role and team, under an id that means something to you alone; by name where the hospital chose to.',
    roles: ['patient'],
    success: { 200: accessPageSchema },
    problems: ['NOT_FOUND', 'INVALID_CURSOR'],
  })
  async looks(
    @CurrentCaller() caller: Caller,
    @Param('id', { schema: hash32 }) id: string,
    @Query({ schema: accessQuery }) query: AccessQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const { rows, present } = await this.accesses.list(caller, bytesOf(id), query);
    return pageOf({ request, reply }, ACCESS_LIST, rows, query.limit, accessKey, present);
  }
}
