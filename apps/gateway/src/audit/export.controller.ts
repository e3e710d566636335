import { Body, Controller, Get, HttpCode, Param, Post, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { Route } from '../http/route.decorator.js';
import {
  accessLogManifestSchema,
  type ExportBody,
  type ExportRequest,
  exportId,
  exportRequestSchema,
  exportSchema,
  manifestSchema,
} from './export.schema.js';
import { ExportService } from './export.service.js';

const MEDIA_TYPES = { ndjson: 'application/x-ndjson', csv: 'text/csv' } as const;

@ApiTags('audit')
@Controller('v1/audit/exports')
export class ExportController {
  constructor(private readonly exports: ExportService) {}

  @Post()
  @HttpCode(201)
  @Route({
    look: 'audit',
    summary: 'Ask for an export of the acts on record, or of the access log',
    description:
      'Fixes what it holds: everything final now that fits. Then fetch `links.content`, to its end, and after that `links.manifest`. `emr-verify export` ' +
      'checks the two offline.',
    roles: ['auditor', 'privacy-officer'],
    success: { 201: { schema: exportSchema, headers: { Location: 'The export.' } } },
  })
  async create(
    @CurrentCaller() caller: Caller,
    @Body({ schema: exportRequestSchema }) body: ExportRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ExportBody> {
    const made = await this.exports.create(caller, body);
    reply.header('Location', `/v1/audit/exports/${made.id}`);
    return made;
  }

  @Get(':id')
  @Route({ summary: 'An export', look: 'audit', roles: ['auditor', 'privacy-officer'], success: { 200: exportSchema } })
  view(@CurrentCaller() caller: Caller, @Param('id', { schema: exportId }) id: string): Promise<ExportBody> {
    return this.exports.view(caller, id);
  }

  @Get(':id/content')
  @Route({
    look: 'audit',
    summary: 'The events of an export',
    description:
      'One event a line, by network and sequence; the same bytes each time. If the connection breaks before the end, fetch it again.',
    roles: ['auditor', 'privacy-officer'],
    success: {
      200: { description: 'NDJSON, or CSV (RFC 4180) with a header line.', mediaTypes: Object.values(MEDIA_TYPES) },
    },
    produces: Object.values(MEDIA_TYPES),
    problems: ['CONFLICT'],
  })
  async content(
    @CurrentCaller() caller: Caller,
    @Param('id', { schema: exportId }) id: string,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { format, stream } = await this.exports.content(caller, id);
    await reply
      .type(MEDIA_TYPES[format])
      .header('content-disposition', `attachment; filename="${id}.${format}"`)
      .send(stream);
  }

  @Get(':id/manifest')
  @Route({
    look: 'audit',
    summary: 'The signed manifest of an export',
    description: 'Once its content was fetched to the end. Keep the answer as it is, byte for byte.',
    roles: ['auditor', 'privacy-officer'],
    success: { 200: z.union([manifestSchema, accessLogManifestSchema]).meta({ id: 'AnyManifest' }) },
    problems: ['CONFLICT'],
  })
  async manifest(
    @CurrentCaller() caller: Caller,
    @Param('id', { schema: exportId }) id: string,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await reply.type('application/json').send(await this.exports.manifest(caller, id));
  }
}
