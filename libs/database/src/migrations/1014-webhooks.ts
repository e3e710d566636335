import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Who is told of events by the gateway itself, and up to where (docs/decisions/023). */
export class Webhooks1014 implements MigrationInterface {
  name = 'Webhooks0000000001014'; // TypeORM orders by the last 13 digits

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
CREATE TABLE gateway.webhook (
  id uuid CONSTRAINT pk_webhook PRIMARY KEY,
  url text NOT NULL,
  -- null: all types
  types text[],
  created_at timestamptz NOT NULL DEFAULT now(),
  created_by bytea NOT NULL,
  -- never deleted: who sent what where stays on record
  removed_at timestamptz,
  removed_by bytea,
  -- one process at a time delivers; a dead one's lease ends by itself
  leased_until timestamptz NOT NULL DEFAULT '-infinity',
  next_at timestamptz NOT NULL DEFAULT now(),
  failures integer NOT NULL DEFAULT 0,
  failing_since timestamptz,
  last_failure text
);
CREATE INDEX ix_webhook_due ON gateway.webhook (next_at) WHERE removed_at IS NULL;
-- The outbox is the mirror itself: final events never change, so a number per receiver and network says what is still owed.
CREATE TABLE gateway.webhook_cursor (
  webhook_id uuid NOT NULL CONSTRAINT fk_webhook_cursor_webhook REFERENCES gateway.webhook,
  network text NOT NULL,
  sequence bigint NOT NULL,
  CONSTRAINT pk_webhook_cursor PRIMARY KEY (webhook_id, network)
);
GRANT SELECT, INSERT ON gateway.webhook, gateway.webhook_cursor TO emr_gateway;
GRANT UPDATE (removed_at, removed_by, leased_until, next_at, failures, failing_since, last_failure) ON gateway.webhook TO emr_gateway;
GRANT UPDATE (sequence) ON gateway.webhook_cursor TO emr_gateway;
`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only go forward: restore a backup instead.');
  }
}
