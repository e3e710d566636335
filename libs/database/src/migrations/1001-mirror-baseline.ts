import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Everything the indexer writes. All rows but `orphaned_event`, `reorganisation` and `checkpoint` are a function of the chain.
 * Table names are unqualified and resolve by search_path, so that a rebuild is a fresh schema and a rename.
 */
export class MirrorBaseline1001 implements MigrationInterface {
  name = 'MirrorBaseline0000000001001'; // TypeORM orders by the last 13 digits

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
CREATE SCHEMA IF NOT EXISTS mirror;
SET LOCAL search_path TO mirror;

CREATE TABLE network (
  name text CONSTRAINT pk_network PRIMARY KEY,
  chain_id numeric NOT NULL,
  genesis_hash bytea NOT NULL,
  contract bytea NOT NULL,
  start_block bigint NOT NULL,
  finality_depth integer NOT NULL
);
CREATE TABLE cursor (
  network text CONSTRAINT pk_cursor PRIMARY KEY,
  number bigint NOT NULL,
  hash bytea NOT NULL,
  final_number bigint NOT NULL,
  sequence bigint NOT NULL,
  head bytea NOT NULL,
  -- raised by each indexer that takes the lead: a commit under an older epoch fails
  epoch bigint NOT NULL,
  stopped_reason text
);
CREATE TABLE block (
  network text NOT NULL,
  number bigint NOT NULL,
  hash bytea NOT NULL,
  parent_hash bytea NOT NULL,
  time bigint NOT NULL,
  receipts_root bytea NOT NULL,
  header bytea NOT NULL,
  raw bytea,
  log_count integer NOT NULL,
  verified boolean NOT NULL,
  -- the ledger's sequence and head after this block: where a reorganisation resumes, and what a proof starts from
  sequence bigint NOT NULL,
  head bytea NOT NULL,
  CONSTRAINT pk_block PRIMARY KEY (network, number),
  CONSTRAINT uq_block_hash UNIQUE (network, hash)
);
CREATE TABLE emr_event (
  network text NOT NULL,
  sequence bigint NOT NULL,
  block_number bigint NOT NULL,
  block_hash bytea NOT NULL,
  block_time bigint NOT NULL,
  log_index integer NOT NULL,
  transaction_hash bytea NOT NULL,
  transaction_index integer NOT NULL,
  type text NOT NULL,
  record_id bytea NOT NULL,
  record_sequence bigint NOT NULL,
  hospital bigint NOT NULL,
  actor bytea NOT NULL,
  request_id bytea NOT NULL,
  operation smallint NOT NULL,
  outcome smallint NOT NULL,
  purpose smallint,
  topics bytea NOT NULL,
  data bytea NOT NULL,
  CONSTRAINT pk_emr_event PRIMARY KEY (network, sequence),
  CONSTRAINT uq_emr_event_log UNIQUE (network, block_hash, log_index)
);
CREATE INDEX ix_emr_event_request ON emr_event (request_id);
CREATE INDEX ix_emr_event_record ON emr_event (record_id, network, sequence);
CREATE INDEX ix_emr_event_actor ON emr_event (actor, network, sequence);
CREATE INDEX ix_emr_event_block ON emr_event (network, block_number);
-- What a projection is rebuilt from after a reorganisation; looks and refusals, nearly all of the volume, change no projection.
CREATE INDEX ix_emr_event_change ON emr_event (network, record_id, sequence) WHERE type NOT IN ('RecordQueried', 'AccessDenied');
CREATE TABLE orphaned_event (
  reorganisation_id bigint NOT NULL,
  LIKE emr_event,
  CONSTRAINT pk_orphaned_event PRIMARY KEY (network, block_hash, log_index, reorganisation_id)
);
CREATE INDEX ix_orphaned_event_request ON orphaned_event (request_id);
CREATE TABLE reorganisation (
  id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_reorganisation PRIMARY KEY,
  network text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  ancestor_number bigint NOT NULL,
  old_tip bytea NOT NULL,
  new_tip bytea NOT NULL,
  depth integer NOT NULL,
  beyond_finality boolean NOT NULL DEFAULT false
);
-- Every transaction to the ledger, whoever sent it: its sender and nonce tell whether the bytes were ours.
CREATE TABLE inclusion (
  network text NOT NULL,
  transaction_hash bytea NOT NULL,
  block_number bigint NOT NULL,
  block_hash bytea NOT NULL,
  transaction_index integer NOT NULL,
  sender bytea NOT NULL,
  nonce bigint NOT NULL,
  status smallint NOT NULL,
  gas_used bigint NOT NULL,
  CONSTRAINT pk_inclusion PRIMARY KEY (network, transaction_hash)
);
CREATE INDEX ix_inclusion_sender ON inclusion (network, sender, nonce);
CREATE INDEX ix_inclusion_block ON inclusion (network, block_number);
-- Unsequenced answers of the ledger: bad-signature, duplicate, mismatch.
CREATE TABLE notice (
  network text NOT NULL,
  block_number bigint NOT NULL,
  block_hash bytea NOT NULL,
  log_index integer NOT NULL,
  transaction_hash bytea NOT NULL,
  kind text NOT NULL,
  position integer NOT NULL,
  request_id bytea,
  sequence bigint,
  CONSTRAINT pk_notice PRIMARY KEY (network, block_hash, log_index)
);
CREATE INDEX ix_notice_transaction ON notice (transaction_hash);
CREATE INDEX ix_notice_block ON notice (network, block_number);

-- projections: each row follows from the events of one record, actor or hospital --------------------------------------
CREATE TABLE record (
  network text NOT NULL,
  record_id bytea NOT NULL,
  custodian bigint NOT NULL,
  version integer NOT NULL,
  content_hash bytea NOT NULL,
  level smallint NOT NULL,
  subject bytea NOT NULL,
  status text NOT NULL CHECK (status IN ('open', 'closed')),
  frozen_by bytea,
  origin bytea,
  opened_request_id bytea NOT NULL,
  opened_at bigint NOT NULL,
  record_sequence bigint NOT NULL,
  record_head bytea NOT NULL,
  CONSTRAINT pk_record PRIMARY KEY (network, record_id)
);
CREATE INDEX ix_record_opened ON record (network, opened_at, record_id);
CREATE TABLE record_version (
  network text NOT NULL,
  record_id bytea NOT NULL,
  version integer NOT NULL,
  content_hash bytea NOT NULL,
  request_id bytea NOT NULL,
  actor bytea NOT NULL,
  created_at bigint NOT NULL,
  CONSTRAINT pk_record_version PRIMARY KEY (network, record_id, version)
);
CREATE TABLE relation (
  network text NOT NULL,
  record_id bytea NOT NULL,
  party bytea NOT NULL,
  until bigint NOT NULL,
  started_request_id bytea NOT NULL,
  started_at bigint NOT NULL,
  ended_at bigint,
  CONSTRAINT pk_relation PRIMARY KEY (network, record_id, party)
);
CREATE INDEX ix_relation_party ON relation (party, record_id);
CREATE INDEX ix_relation_request ON relation (started_request_id);
CREATE TABLE access_grant (
  network text NOT NULL,
  record_id bytea NOT NULL,
  grant_id bytea NOT NULL,
  grantee bytea NOT NULL,
  grantee_hospital bigint NOT NULL,
  operations bigint NOT NULL,
  purpose integer NOT NULL,
  not_before bigint NOT NULL,
  not_after bigint NOT NULL,
  consent_hash bytea NOT NULL,
  granted_by bytea NOT NULL,
  granted_at bigint NOT NULL,
  revoked_at bigint,
  CONSTRAINT pk_access_grant PRIMARY KEY (network, record_id, grant_id)
);
CREATE INDEX ix_access_grant_id ON access_grant (grant_id);
CREATE INDEX ix_access_grant_grantee ON access_grant (grantee);
CREATE TABLE transfer (
  network text NOT NULL,
  transfer_id bytea NOT NULL,
  record_id bytea NOT NULL,
  from_hospital bigint NOT NULL,
  to_hospital bigint NOT NULL,
  version integer NOT NULL,
  content_hash bytea NOT NULL,
  mode smallint NOT NULL,
  expires_at bigint NOT NULL,
  state text NOT NULL CHECK (state IN ('proposed', 'accepted', 'completed', 'rejected', 'cancelled', 'expired')),
  package_hash bytea,
  proposed_at bigint NOT NULL,
  state_block_hash bytea NOT NULL,
  CONSTRAINT pk_transfer PRIMARY KEY (network, transfer_id)
);
CREATE INDEX ix_transfer_record ON transfer (record_id);
CREATE TABLE actor (
  network text NOT NULL,
  address bytea NOT NULL,
  hospital bigint NOT NULL,
  roles integer NOT NULL,
  custody smallint NOT NULL,
  active boolean NOT NULL,
  CONSTRAINT pk_actor PRIMARY KEY (network, address)
);
CREATE TABLE team_member (
  network text NOT NULL,
  hospital bigint NOT NULL,
  team bytea NOT NULL,
  member bytea NOT NULL,
  CONSTRAINT pk_team_member PRIMARY KEY (network, hospital, team, member)
);
CREATE INDEX ix_team_member_member ON team_member (member);
CREATE TABLE hospital (
  network text NOT NULL,
  id bigint NOT NULL,
  registrar bytea NOT NULL,
  identity_key bytea NOT NULL,
  transfer_key bytea NOT NULL,
  transfer_key_id bigint NOT NULL,
  endpoint_hash bytea NOT NULL,
  active boolean NOT NULL,
  CONSTRAINT pk_hospital PRIMARY KEY (network, id)
);
CREATE TABLE relayer (
  network text NOT NULL,
  address bytea NOT NULL,
  hospital bigint NOT NULL,
  active boolean NOT NULL,
  CONSTRAINT pk_relayer PRIMARY KEY (network, address)
);
CREATE TABLE checkpoint (
  network text NOT NULL,
  block_number bigint NOT NULL,
  block_hash bytea NOT NULL,
  sequence bigint NOT NULL,
  head bytea NOT NULL,
  proof jsonb,
  CONSTRAINT pk_checkpoint PRIMARY KEY (network, block_number)
);

-- Lets one statement write a whole commit and fail as a whole when anything landed otherwise than expected.
CREATE FUNCTION assert_rows(what text, actual bigint, expected bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF actual <> expected THEN
    RAISE EXCEPTION '% rows of % landed where % were expected', actual, what, expected USING ERRCODE = 'MR001';
  END IF;
  RETURN true;
END $$;

GRANT USAGE ON SCHEMA mirror TO emr_mirror, emr_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA mirror TO emr_mirror;
REVOKE UPDATE, DELETE ON mirror.orphaned_event, mirror.reorganisation FROM emr_mirror;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA mirror TO emr_mirror;
GRANT SELECT ON ALL TABLES IN SCHEMA mirror TO emr_gateway;
`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only go forward: the mirror can also be rebuilt from the chain.');
  }
}
