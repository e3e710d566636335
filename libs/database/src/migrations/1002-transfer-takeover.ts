import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A transfer may be taken over by somebody else than who began it (docs/decisions/009). */
export class TransferTakeover1002 implements MigrationInterface {
  name = 'TransferTakeover0000000001002'; // TypeORM orders by the last 13 digits

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
-- how often: acts refused to those before are tried anew, under request ids that follow from this number
ALTER TABLE gateway.transfer ADD COLUMN takeovers integer NOT NULL DEFAULT 0;
-- request id of the act with which the present actor took over
ALTER TABLE gateway.transfer ADD COLUMN takeover_request_id bytea;
`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only go forward: restore a backup instead.');
  }
}
