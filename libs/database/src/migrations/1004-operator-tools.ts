import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What an operator does to signers and their transactions, and the record of it (docs/decisions/014). */
export class OperatorTools1004 implements MigrationInterface {
  name = 'OperatorTools0000000001004'; // TypeORM orders by the last 13 digits

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
-- 'lost': bytes of somebody else were mined at the nonce; the acts ride again under another one
ALTER TABLE gateway.transaction DROP CONSTRAINT ck_transaction_state;
ALTER TABLE gateway.transaction ADD CONSTRAINT ck_transaction_state
  CHECK (state IN ('assigned', 'signed', 'submitted', 'final', 'reverted', 'noop', 'lost'));
-- The act is to end cancelled instead of riding again, should this ride end without effect. A wish: what is mined decides.
ALTER TABLE gateway.transaction_operation ADD COLUMN withdrawn boolean NOT NULL DEFAULT false;
-- Few rows: counted by /metrics.
CREATE INDEX ix_operation_without_effect ON gateway.operation (network, phase) WHERE phase IN ('failed', 'cancelled');

-- Who did what to a signer, when, why and with what outcome. Codes and numbers alone: there is no place for a name or a sentence.
CREATE TABLE gateway.operator_action (
  id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_operator_action PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  principal bytea NOT NULL,
  actor bytea,
  action text NOT NULL CHECK (action IN ('pause', 'resumption', 'noop', 'bump', 'release')),
  signer_id integer NOT NULL CONSTRAINT fk_operator_action_signer REFERENCES gateway.signer,
  nonce bigint,
  reason text,
  -- where the hospital keeps the whole story, such as INC-2041
  ticket text CHECK (ticket ~ '^[A-Z]{2,10}-[0-9]{1,10}$'),
  outcome text NOT NULL CHECK (outcome IN ('done', 'unchanged', 'refused', 'failed')),
  detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX ix_operator_action_signer ON gateway.operator_action (signer_id, id);
GRANT SELECT, INSERT ON gateway.operator_action TO emr_gateway;
`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only go forward: restore a backup instead.');
  }
}
