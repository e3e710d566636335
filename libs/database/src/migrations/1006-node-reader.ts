import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Nodes read the mirror's blocks to be made whole, and that is all they may: the global one is the program that talks to strangers. */
export class NodeReader1006 implements MigrationInterface {
  name = 'NodeReader0000000001006'; // TypeORM orders by the last 13 digits

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'emr_node') THEN CREATE ROLE emr_node NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- another hospital of the same cluster was faster
END $$;
GRANT USAGE ON SCHEMA mirror TO emr_node;
GRANT SELECT ON mirror.cursor, mirror.block TO emr_node;
`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only go forward: restore a backup instead.');
  }
}
