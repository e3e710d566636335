import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * One index of `emr_event` for two. A log's place is unique by its block's number as well: of the canonical rows, which these are, each
 * number has one block. The key then grows with the table instead of falling anywhere in it, and answers for a block's events too; the
 * hash of a block is found in `block`.
 */
export class MirrorSpeed1015 implements MigrationInterface {
  name = 'MirrorSpeed0000000001015'; // TypeORM orders by the last 13 digits

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
SET LOCAL search_path TO mirror;
ALTER TABLE emr_event DROP CONSTRAINT uq_emr_event_log;
-- Of a table by month, the month's column is part of every key.
DO $$ BEGIN
  EXECUTE format('ALTER TABLE emr_event ADD CONSTRAINT uq_emr_event_log UNIQUE (network, block_number, log_index%s)',
    CASE WHEN (SELECT relkind FROM pg_class WHERE oid = 'emr_event'::regclass) = 'p' THEN ', block_time' ELSE '' END);
END $$;
DROP INDEX ix_emr_event_block;
`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only go forward: the mirror can also be rebuilt from the chain.');
  }
}
