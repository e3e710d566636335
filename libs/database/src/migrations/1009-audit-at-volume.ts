import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What the audit API reads by at ten million events, and events by month for who has more (docs/decisions/017). */
export class AuditAtVolume1009 implements MigrationInterface {
  name = 'AuditAtVolume0000000001009'; // TypeORM orders by the last 13 digits

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
SET LOCAL search_path TO mirror;

-- Filters of /v1/audit/events that stand alone. Each ends in the sequence, which only grows, so that inserts fall on few and warm pages.
CREATE INDEX ix_emr_event_type ON emr_event (network, type, sequence);
CREATE INDEX ix_emr_event_purpose ON emr_event (network, purpose, sequence) WHERE purpose IS NOT NULL;
-- Refusals are few: nearly every act costs these two nothing.
CREATE INDEX ix_emr_event_denied ON emr_event (network, sequence) WHERE outcome <> 0;
CREATE INDEX ix_emr_event_denied_actor ON emr_event (actor, network, sequence) WHERE outcome <> 0;

-- Makes the partition of one month (UTC) of a mirror that keeps its events by month; does nothing when it is there. It belongs to the owner, so
-- that the indexer's role can have partitions made and can do nothing else to the schema. The table is filled with its keys and indexes before
-- it is attached: attaching stops neither readers nor writers, as creating it in place would.
CREATE FUNCTION make_event_partition(events regclass, moment bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  first timestamp := date_trunc('month', to_timestamp(moment) AT TIME ZONE 'UTC');
  bounds text := format('FROM (%s) TO (%s)', extract(epoch FROM first)::bigint, extract(epoch FROM first + interval '1 month')::bigint);
  partition text := 'emr_event_' || to_char(first, 'YYYY_MM');
  schema text;
BEGIN
  SELECT n.nspname INTO schema FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = events AND c.relname = 'emr_event' AND c.relkind = 'p' AND n.nspname IN ('mirror', 'mirror_rebuild');
  IF NOT FOUND THEN RAISE EXCEPTION '% is no table of events by month', events; END IF;
  -- Two networks may reach a month together.
  PERFORM pg_advisory_xact_lock(hashtext('emr-event-partition'), hashtext(partition));
  IF to_regclass(format('%I.%I', schema, partition)) IS NULL THEN
    EXECUTE format('CREATE TABLE %I.%I (LIKE %I.emr_event INCLUDING ALL)', schema, partition, schema);
    EXECUTE format('ALTER TABLE %I.emr_event ATTACH PARTITION %I.%I FOR VALUES %s', schema, schema, partition, bounds);
  END IF;
  RETURN partition;
END $$;
REVOKE ALL ON FUNCTION make_event_partition(regclass, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_event_partition(regclass, bigint) TO emr_mirror;
`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only go forward: the mirror can also be rebuilt from the chain.');
  }
}
