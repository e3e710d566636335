import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Anchors of every hospital's own ledger, and what came of holding them against the events behind them (docs/decisions/021). */
export class Anchors1013 implements MigrationInterface {
  name = 'Anchors0000000001013'; // TypeORM orders by the last 13 digits

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
SET LOCAL search_path TO mirror;

CREATE TABLE anchor (
  network text NOT NULL,
  -- of the event on the network that carries anchors
  sequence bigint NOT NULL,
  hospital bigint NOT NULL,
  -- of the hospital's own network, which only that hospital has
  chain_id bigint NOT NULL,
  block_number bigint NOT NULL,
  block_time bigint NOT NULL,
  local_block bigint NOT NULL,
  local_block_hash bytea NOT NULL,
  previous_sequence bigint NOT NULL,
  previous_head bytea NOT NULL,
  local_sequence bigint NOT NULL,
  local_head bytea NOT NULL,
  access_sequence bigint NOT NULL,
  access_head bytea NOT NULL,
  CONSTRAINT pk_anchor PRIMARY KEY (network, sequence)
);
CREATE INDEX ix_anchor_line ON anchor (network, hospital, chain_id, sequence);
GRANT SELECT, INSERT, UPDATE, DELETE ON anchor TO emr_mirror;
GRANT SELECT ON anchor TO emr_gateway;

-- One row for each network of another hospital: through which anchor its events were asked for and folded.
CREATE TABLE gateway.anchor_follow (
  network text NOT NULL,
  hospital bigint NOT NULL,
  chain_id bigint NOT NULL,
  -- the last anchor dealt with, by its sequence on the global ledger; each verified, or the subject of an incident
  anchor_sequence bigint NOT NULL,
  -- of the anchor after it, as far as its events were folded
  folded_sequence bigint,
  folded_head bytea,
  -- when the hospital last answered, and why it didn't the last time; NULL when it did
  answered_at timestamptz,
  problem text,
  CONSTRAINT pk_anchor_follow PRIMARY KEY (network, hospital, chain_id)
);
-- A history that isn't what was anchored. Kept for good; resolved once the hospital shows the anchored history after all.
CREATE TABLE gateway.anchor_incident (
  id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_anchor_incident PRIMARY KEY,
  network text NOT NULL,
  hospital bigint NOT NULL,
  chain_id bigint NOT NULL,
  -- fold: its events don't lead from one anchored head to the next. block: the anchored block isn't in its chain
  kind text NOT NULL CONSTRAINT ck_anchor_incident_kind CHECK (kind IN ('fold', 'block')),
  anchor_sequence bigint NOT NULL,
  -- what was anchored, and what was found instead; NULL where there was nothing
  local_block bigint NOT NULL,
  local_sequence bigint NOT NULL,
  anchored bytea NOT NULL,
  found bytea,
  detail text NOT NULL,
  found_at timestamptz NOT NULL DEFAULT now(),
  resolved_at timestamptz,
  CONSTRAINT uq_anchor_incident UNIQUE (network, anchor_sequence, kind)
);
CREATE INDEX ix_anchor_incident_open ON gateway.anchor_incident (network, hospital, chain_id) WHERE resolved_at IS NULL;
GRANT SELECT, INSERT, UPDATE ON gateway.anchor_follow, gateway.anchor_incident TO emr_gateway;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA gateway TO emr_gateway;
GRANT SELECT ON gateway.anchor_follow, gateway.anchor_incident TO emr_mirror;
`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only go forward: restore a backup instead.');
  }
}
