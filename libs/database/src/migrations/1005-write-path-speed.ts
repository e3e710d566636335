import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What the write path spent on checking itself. An act's ride is written by the one statement that makes its transaction and takes its
 * operation, so the foreign keys could only ever be satisfied: two look-ups with a row lock each, for every act. Raw bytes are kept as they
 * are: compressing a transaction's took longer than writing them.
 */
export class WritePathSpeed1005 implements MigrationInterface {
  name = 'WritePathSpeed0000000001005'; // TypeORM orders by the last 13 digits

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
ALTER TABLE gateway.transaction_operation
  DROP CONSTRAINT fk_transaction_operation_transaction,
  DROP CONSTRAINT fk_transaction_operation_operation;
ALTER TABLE gateway.attempt ALTER COLUMN raw SET STORAGE EXTERNAL;
ALTER TABLE mirror.block ALTER COLUMN raw SET STORAGE EXTERNAL;
`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only go forward: restore a backup instead.');
  }
}
