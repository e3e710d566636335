import { Body, Controller, Delete, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { Route } from '../http/route.decorator.js';
import {
  type NewWebhook,
  newWebhookSchema,
  type WebhookBody,
  webhookId,
  webhookListSchema,
  webhookSchema,
} from './webhooks.schema.js';
import { WebhooksService } from './webhooks.service.js';

@ApiTags('admin')
@Controller('v1/admin/webhooks')
export class WebhooksController {
  constructor(private readonly webhooks: WebhooksService) {}

  @Get()
  @Route({
    summary: 'Receivers that are told of events',
    look: 'webhooks',
    roles: ['admin', 'auditor'],
    success: { 200: webhookListSchema },
  })
  async list(): Promise<{ items: WebhookBody[] }> {
    return { items: await this.webhooks.list() };
  }

  @Post()
  @Route({
    summary: 'Tell a receiver of events as they become final',
    description:
      'Final events are POSTed in the order of each network, up to a hundred at once, as `{"webhookId", "events": [AuditEvent]}`, signed with this ' +
      "hospital's key (RFC 9421). A 2xx answer moves on; anything else is tried again, later each time. Delivery is at least once: " +
      'a receiver that has seen an event `id` before skips it.',
    roles: ['admin'],
    success: { 201: webhookSchema },
    problems: ['CONFLICT'],
  })
  add(@CurrentCaller() caller: Caller, @Body({ schema: newWebhookSchema }) body: NewWebhook): Promise<WebhookBody> {
    return this.webhooks.add(caller, body);
  }

  @Delete(':id')
  @HttpCode(204)
  @Route({
    summary: 'Tell a receiver no longer',
    roles: ['admin'],
    success: { 204: { description: 'Removed; a delivery under way may still arrive.' } },
    problems: ['NOT_FOUND'],
  })
  remove(@CurrentCaller() caller: Caller, @Param('id', { schema: webhookId }) id: string): Promise<void> {
    return this.webhooks.remove(caller, id);
  }
}
