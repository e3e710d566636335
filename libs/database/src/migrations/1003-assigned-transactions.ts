import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A signer outside this process is asked after the nonce is bound to its acts and before there are bytes (docs/decisions/012). */
export class AssignedTransactions1003 implements MigrationInterface {
  name = 'AssignedTransactions0000000001003'; // TypeORM orders by the last 13 digits

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
-- 'assigned': the nonce has its acts and no attempt yet; nothing of it has left this database. Its acts' phase is 'signed' already, as
-- they ride: no other transaction may take them.
ALTER TABLE gateway.transaction DROP CONSTRAINT transaction_state_check;
ALTER TABLE gateway.transaction ADD CONSTRAINT ck_transaction_state
  CHECK (state IN ('assigned', 'signed', 'submitted', 'final', 'reverted', 'noop'));
DROP INDEX gateway.ix_transaction_open;
CREATE INDEX ix_transaction_open ON gateway.transaction (signer_id, nonce) WHERE state IN ('assigned', 'signed', 'submitted');
`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only go forward: restore a backup instead.');
  }
}
