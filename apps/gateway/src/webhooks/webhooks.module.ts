import { Module } from '@nestjs/common';
import { AuditModule } from '../audit/audit.module.js';
import { WebhookDeliveries } from './webhook.deliveries.js';
import { WebhooksController } from './webhooks.controller.js';
import { WebhooksMetrics } from './webhooks.metrics.js';
import { WebhooksService } from './webhooks.service.js';
import { WebhooksStore } from './webhooks.store.js';

@Module({
  imports: [AuditModule],
  controllers: [WebhooksController],
  providers: [WebhooksService, WebhooksStore, WebhookDeliveries, WebhooksMetrics],
})
export class WebhooksModule {}
