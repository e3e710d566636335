import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What was asked to be exported, and the manifest of what then was (docs/decisions/018). The bytes themselves are made anew each time. */
export class AuditExports1010 implements MigrationInterface {
  name = 'AuditExports0000000001010'; // TypeORM orders by the last 13 digits

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
CREATE TABLE gateway.audit_export (
  id bytea CONSTRAINT pk_audit_export PRIMARY KEY CHECK (length(id) = 16),
  created_at timestamptz NOT NULL,
  principal bytea NOT NULL,
  format text NOT NULL CONSTRAINT ck_audit_export_format CHECK (format IN ('ndjson', 'csv')),
  -- which events: codes, record ids and sequences; no identifier of a patient
  plan jsonb NOT NULL,
  -- signed text, byte for byte; NULL until the content was first made to its end
  manifest text
);
GRANT SELECT, INSERT ON gateway.audit_export TO emr_gateway;
GRANT UPDATE (manifest) ON gateway.audit_export TO emr_gateway;
`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only go forward: restore a backup instead.');
  }
}
