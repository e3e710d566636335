import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A third kind of incident: the access log isn't the one that was anchored. */
export class AccessLogIncidents1016 implements MigrationInterface {
  name = 'AccessLogIncidents0000000001016'; // TypeORM orders by the last 13 digits

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
ALTER TABLE gateway.anchor_incident DROP CONSTRAINT ck_anchor_incident_kind;
ALTER TABLE gateway.anchor_incident ADD CONSTRAINT ck_anchor_incident_kind CHECK (kind IN ('fold', 'block', 'access-log'));
`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only go forward: restore a backup instead.');
  }
}
