import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What a node was caught at, kept for whoever asks later; who leads; and what stands beside a checkpoint: the second node's hash, or why there
 * is no proof. History of this mirror like checkpoints, no function of the chain.
 */
export class MirrorIncidents1007 implements MigrationInterface {
  name = 'MirrorIncidents0000000001007'; // TypeORM orders by the last 13 digits

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
SET LOCAL search_path TO mirror;

CREATE TABLE incident (
  id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_incident PRIMARY KEY,
  network text NOT NULL,
  -- mismatch: an answer contradicts its own hashes, its neighbours or the ledger. malformed: it is no answer at all. beyond-finality: what was
  -- final is replaced. replaced-chain: another chain altogether. witness: the second node has another block.
  kind text NOT NULL CONSTRAINT ck_incident_kind
    CHECK (kind IN ('mismatch', 'malformed', 'beyond-finality', 'replaced-chain', 'witness')),
  block_number bigint,
  block_hash bytea,
  detail text NOT NULL,
  -- how often the node said so before it was resolved
  seen integer NOT NULL DEFAULT 1,
  first_at timestamptz NOT NULL DEFAULT now(),
  last_at timestamptz NOT NULL DEFAULT now(),
  -- when the node's answers fitted again
  resolved_at timestamptz
);
-- One open incident a block and kind, however often the node is asked again; a history replaced is one incident, wherever it is noticed.
CREATE UNIQUE INDEX uq_incident_open
  ON incident (network, kind, (CASE WHEN kind IN ('mismatch', 'witness') THEN block_number ELSE -1 END)) WHERE resolved_at IS NULL;
CREATE INDEX ix_incident_network ON incident (network, id);

-- Who leads a network, and when it was last heard of. Says nothing of the chain.
CREATE TABLE lead (
  network text CONSTRAINT pk_lead PRIMARY KEY,
  -- the session that holds the lead's lock
  pid integer NOT NULL,
  seen_at timestamptz NOT NULL
) WITH (fillfactor = 50);

ALTER TABLE checkpoint
  -- the block hash that the second node gave; NULL: it was not asked, or didn't answer
  ADD COLUMN witness_hash bytea,
  -- why there is no state proof where proof is NULL
  ADD COLUMN proof_missing text;

GRANT SELECT, INSERT, UPDATE ON incident, lead TO emr_mirror;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA mirror TO emr_mirror;
GRANT SELECT ON incident, lead TO emr_gateway;
`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only go forward: the mirror can also be rebuilt from the chain.');
  }
}
