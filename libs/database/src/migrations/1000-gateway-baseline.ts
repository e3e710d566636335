import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Everything the gateway writes. The role `emr_gateway` owns none of it and may not change the schema; it reads the mirror and never writes it.
 *
 * An operation is one signed act. Its state on chain is never stored here: it is derived from the mirror (events by request id, inclusions by
 * attempt hash), so that there is nothing to fall out of step with. `phase` says only what the gateway itself decided.
 */
export class GatewayBaseline1000 implements MigrationInterface {
  name = 'GatewayBaseline0000000001000'; // TypeORM orders by the last 13 digits

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'emr_gateway') THEN CREATE ROLE emr_gateway NOLOGIN; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'emr_mirror') THEN CREATE ROLE emr_mirror NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- another hospital of the same cluster was faster
END $$;
CREATE SCHEMA IF NOT EXISTS gateway;

-- people and keys ------------------------------------------------------------------------------------------------
-- Users of the built-in issuer only; users of an OIDC issuer exist at that issuer.
CREATE TABLE gateway.app_user (
  username text CONSTRAINT pk_app_user PRIMARY KEY,
  password_hash text NOT NULL,
  roles text[] NOT NULL,
  disabled boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now()
);
-- Keys held by the gateway (custody "gateway"), and addresses of self-held keys (wrapped_key NULL). 'subject': one address per record.
CREATE TABLE gateway.actor_key (
  address bytea CONSTRAINT pk_actor_key PRIMARY KEY CHECK (length(address) = 20),
  kind text NOT NULL CHECK (kind IN ('actor', 'subject')),
  issuer text,
  subject text,
  roles text[] NOT NULL DEFAULT '{}',
  wrapped_key bytea,
  kek_id text,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT uq_actor_key_principal UNIQUE (issuer, subject)
);
CREATE TABLE gateway.used_jti (
  jti_hash bytea CONSTRAINT pk_used_jti PRIMARY KEY,
  expires_at timestamptz NOT NULL
);
CREATE INDEX ix_used_jti_expires_at ON gateway.used_jti (expires_at);

-- the write path -------------------------------------------------------------------------------------------------
CREATE TABLE gateway.signer (
  id integer GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_signer PRIMARY KEY,
  network text NOT NULL,
  address bytea NOT NULL CHECK (length(address) = 20),
  next_nonce bigint NOT NULL DEFAULT 0,
  fence bigint NOT NULL DEFAULT 0,
  lease_until timestamptz,
  state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'quarantined')),
  reason text,
  CONSTRAINT uq_signer_network_address UNIQUE (network, address)
);
CREATE TABLE gateway.operation (
  ordinal bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_operation PRIMARY KEY,
  id text NOT NULL CONSTRAINT uq_operation_id UNIQUE,
  -- HMAC(hospital secret, issuer | client | subject | Idempotency-Key [| step]): the idempotency scope and the act's name on chain in one.
  request_id bytea NOT NULL CHECK (length(request_id) = 32),
  network text NOT NULL,
  -- HMAC fingerprint of method, route and body: tells a replay from a misuse of the key.
  body_hash bytea NOT NULL,
  -- who asked: HMAC(issuer | client | subject), for re-authorisation; names stay out of this table.
  principal bytea NOT NULL,
  type text NOT NULL,
  code smallint NOT NULL,
  actor bytea NOT NULL CHECK (length(actor) = 20),
  record_id bytea NOT NULL CHECK (length(record_id) = 32),
  parameters bytea NOT NULL,
  deadline bigint NOT NULL,
  auth_context bytea NOT NULL CHECK (length(auth_context) = 32),
  signature bytea NOT NULL,
  -- the token's salt and hash behind auth_context, wrapped under the KEK
  auth_evidence bytea,
  parent_id text,
  phase text NOT NULL DEFAULT 'accepted' CHECK (phase IN ('accepted', 'signed', 'failed', 'cancelled')),
  failure jsonb,
  priority smallint NOT NULL DEFAULT 0,
  -- at most so many acts may share a transaction with this one: halved each time its transaction mines with status 0
  batch_limit integer,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT uq_operation_network_request UNIQUE (network, request_id)
);
CREATE INDEX ix_operation_waiting ON gateway.operation (network, priority DESC, ordinal) WHERE phase = 'accepted';
CREATE INDEX ix_operation_principal ON gateway.operation (principal, ordinal);
CREATE INDEX ix_operation_record ON gateway.operation (record_id, ordinal);
CREATE INDEX ix_operation_parent ON gateway.operation (parent_id) WHERE parent_id IS NOT NULL;

CREATE TABLE gateway.transaction (
  id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_transaction PRIMARY KEY,
  signer_id integer NOT NULL CONSTRAINT fk_transaction_signer REFERENCES gateway.signer,
  nonce bigint NOT NULL,
  state text NOT NULL DEFAULT 'signed' CHECK (state IN ('signed', 'submitted', 'final', 'reverted', 'noop')),
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT uq_transaction_signer_nonce UNIQUE (signer_id, nonce)
);
CREATE INDEX ix_transaction_open ON gateway.transaction (signer_id, nonce) WHERE state IN ('signed', 'submitted');
CREATE TABLE gateway.transaction_operation (
  transaction_id bigint NOT NULL CONSTRAINT fk_transaction_operation_transaction REFERENCES gateway.transaction,
  position integer NOT NULL,
  operation_ordinal bigint NOT NULL CONSTRAINT fk_transaction_operation_operation REFERENCES gateway.operation,
  CONSTRAINT pk_transaction_operation PRIMARY KEY (transaction_id, position)
);
CREATE INDEX ix_transaction_operation_operation ON gateway.transaction_operation (operation_ordinal);
CREATE TABLE gateway.attempt (
  id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_attempt PRIMARY KEY,
  transaction_id bigint NOT NULL CONSTRAINT fk_attempt_transaction REFERENCES gateway.transaction,
  number integer NOT NULL,
  kind text NOT NULL CHECK (kind IN ('first', 'bump', 'noop')),
  raw bytea NOT NULL,
  hash bytea NOT NULL CONSTRAINT uq_attempt_hash UNIQUE,
  gas_price numeric NOT NULL,
  sent_at timestamptz,
  sends integer NOT NULL DEFAULT 0,
  last_answer text,
  CONSTRAINT uq_attempt_transaction_number UNIQUE (transaction_id, number)
);

-- content and patients: the only tables that hold personal data ------------------------------------------------------
-- Uploaded, not yet cited: sealed under a staging key, gone after an hour.
CREATE TABLE gateway.content (
  id text CONSTRAINT pk_content PRIMARY KEY,
  principal bytea NOT NULL,
  idempotency_hash bytea NOT NULL,
  media_type text NOT NULL,
  size integer NOT NULL,
  sha256 bytea NOT NULL,
  sealed bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  CONSTRAINT uq_content_idempotency UNIQUE (principal, idempotency_hash)
);
CREATE INDEX ix_content_expires_at ON gateway.content (expires_at);
-- One row per record version: ciphertext and the manifest whose SHA-256 is on chain. No key here.
CREATE TABLE gateway.record_content (
  record_id bytea NOT NULL,
  version integer NOT NULL,
  request_id bytea NOT NULL,
  manifest bytea NOT NULL,
  content_hash bytea NOT NULL,
  ciphertext bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  -- false until the ledger confirmed the act: a sweep removes the content of acts that were refused or never sent.
  settled boolean NOT NULL DEFAULT false,
  CONSTRAINT pk_record_content PRIMARY KEY (record_id, version, request_id)
);
CREATE INDEX ix_record_content_unsettled ON gateway.record_content (request_id) WHERE NOT settled;
ALTER TABLE gateway.record_content ALTER COLUMN ciphertext SET STORAGE EXTERNAL; -- ciphertext doesn't compress
CREATE TABLE gateway.record_key (
  record_id bytea NOT NULL,
  version integer NOT NULL,
  request_id bytea NOT NULL,
  kek_id text NOT NULL,
  wrapped_dek bytea NOT NULL,
  CONSTRAINT pk_record_key PRIMARY KEY (record_id, version, request_id)
);
-- identifier_index = HMAC of the local identifier, for look-ups; identifier itself is sealed.
CREATE TABLE gateway.patient (
  id uuid CONSTRAINT pk_patient PRIMARY KEY,
  identifier_index bytea NOT NULL CONSTRAINT uq_patient_identifier_index UNIQUE,
  identifier_sealed bytea NOT NULL,
  kek_id text NOT NULL
);
CREATE TABLE gateway.patient_record (
  record_id bytea CONSTRAINT pk_patient_record PRIMARY KEY,
  patient_id uuid NOT NULL CONSTRAINT fk_patient_record_patient REFERENCES gateway.patient,
  subject_address bytea NOT NULL
);
CREATE INDEX ix_patient_record_patient ON gateway.patient_record (patient_id);
-- Whose log-in (HMAC of issuer and subject) stands for which patient; a records officer links them.
CREATE TABLE gateway.patient_account (
  account_index bytea CONSTRAINT pk_patient_account PRIMARY KEY,
  patient_id uuid NOT NULL CONSTRAINT fk_patient_account_patient REFERENCES gateway.patient,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_patient_account_patient ON gateway.patient_account (patient_id);

-- queries, transfers -------------------------------------------------------------------------------------------------
-- One row for each transfer this hospital takes part in. Its state on chain is in the mirror; 'step' is for people and for the index of open
-- rows, nothing is decided by it.
CREATE TABLE gateway.transfer (
  id bytea CONSTRAINT pk_transfer PRIMARY KEY CHECK (length(id) = 32),
  direction text NOT NULL CHECK (direction IN ('outgoing', 'incoming')),
  record_id bytea NOT NULL,
  peer_hospital bigint NOT NULL,
  version integer NOT NULL,
  content_hash bytea NOT NULL,
  mode smallint NOT NULL DEFAULT 0,
  -- who asked for it (outgoing) or for its acceptance (incoming): their key signs what follows
  actor bytea,
  principal bytea,
  -- request id of the latest acceptance asked for here
  acceptance_request_id bytea,
  -- code of the reason given, never free text
  reason text,
  step text NOT NULL,
  outcome text CHECK (outcome IN ('completed', 'rejected', 'cancelled', 'expired')),
  -- why nothing more can be done, or the last thing that went wrong
  problem text,
  received_record_id bytea,
  package bytea,
  package_hash bytea,
  delivered_at timestamptz,
  ttl integer NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  next_attempt_at timestamptz NOT NULL DEFAULT now(),
  lease_until timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE gateway.transfer ALTER COLUMN package SET STORAGE EXTERNAL; -- ciphertext doesn't compress
CREATE INDEX ix_transfer_record ON gateway.transfer (record_id);
CREATE INDEX ix_transfer_received ON gateway.transfer (received_record_id) WHERE received_record_id IS NOT NULL;
CREATE INDEX ix_transfer_created ON gateway.transfer (created_at, id);
CREATE INDEX ix_transfer_due ON gateway.transfer (next_attempt_at) WHERE step NOT IN ('done', 'failed');

-- Looks that are no act on the ledger, and each release of content.
CREATE TABLE gateway.access_log (
  id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_access_log PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  principal bytea NOT NULL,
  actor bytea,
  kind text NOT NULL,
  record_id bytea,
  request_id bytea,
  detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX ix_access_log_record ON gateway.access_log (record_id, id);

-- Nodes this hospital keeps its own nodes connected to.
CREATE TABLE gateway.peer (
  network text NOT NULL,
  enode text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_peer PRIMARY KEY (network, enode)
);

GRANT USAGE ON SCHEMA gateway TO emr_gateway, emr_mirror;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA gateway TO emr_gateway;
REVOKE UPDATE, DELETE ON gateway.access_log FROM emr_gateway;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA gateway TO emr_gateway;
`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only go forward: restore a backup instead.');
  }
}
