import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The access log becomes a chain (docs/access-log.md, decision 019). Entries are inserted as before, by many at once and without a lock in
 * common; `link_access_log` gives those that are settled their place in one dense sequence afterwards. It belongs to the owner, so that the
 * gateway's role can add entries and have them linked, and can neither choose their time and order nor touch entry or link again.
 */
export class AccessLogChain1011 implements MigrationInterface {
  name = 'AccessLogChain0000000001011'; // TypeORM orders by the last 13 digits

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
-- The inserting transaction, on a scale that only rises. Entries from before this migration come first, in the order of their ids: a constant
-- default rewrites no row.
ALTER TABLE gateway.access_log ADD COLUMN position bigint NOT NULL DEFAULT 0;
ALTER TABLE gateway.access_log ALTER COLUMN position SET DEFAULT (pg_current_xact_id()::text::bigint);
CREATE INDEX ix_access_log_position ON gateway.access_log (position, id);
-- What auditors narrow the log by, newest first.
DROP INDEX gateway.ix_access_log_record;
CREATE INDEX ix_access_log_record ON gateway.access_log (record_id, at, id) WHERE record_id IS NOT NULL;
CREATE INDEX ix_access_log_principal ON gateway.access_log (principal, at, id);
CREATE INDEX ix_access_log_actor ON gateway.access_log (actor, at, id) WHERE actor IS NOT NULL;
CREATE INDEX ix_access_log_at ON gateway.access_log (at, id);
-- Releases are nearly all of the volume; whoever looks for another kind must not walk them.
CREATE INDEX ix_access_log_kind ON gateway.access_log (kind, at, id) WHERE kind <> 'release';

-- No foreign key: the one writer is the function below, and a removed entry is what the chain is there to find.
CREATE TABLE gateway.access_log_link (
  sequence bigint CONSTRAINT pk_access_log_link PRIMARY KEY CHECK (sequence > 0),
  entry_id bigint NOT NULL CONSTRAINT uq_access_log_link_entry UNIQUE,
  leaf bytea NOT NULL CHECK (length(leaf) = 32),
  head bytea NOT NULL CHECK (length(head) = 32),
  -- never falls along the sequence
  linked_at timestamptz NOT NULL
);

-- What is added to a transaction's id to make a position. Raised when a dump is restored into a server whose ids begin anew.
CREATE TABLE gateway.access_log_base (
  one boolean CONSTRAINT pk_access_log_base PRIMARY KEY DEFAULT true CHECK (one),
  added bigint NOT NULL
);
INSERT INTO gateway.access_log_base (added) VALUES (0);

-- docs/access-log.md: length (int32, -1 for NULL) and bytes, as in COPY's binary format.
CREATE FUNCTION gateway.access_log_field(value bytea) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN value IS NULL THEN '\\xffffffff'::bytea ELSE int4send(length(value)) || value END
$$;
CREATE FUNCTION gateway.access_log_preimage(entry gateway.access_log) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT '\\x01'::bytea || int8send(entry.id) || int8send((extract(epoch FROM entry.at) * 1000000)::bigint)
    || gateway.access_log_field(entry.principal) || gateway.access_log_field(entry.actor)
    || gateway.access_log_field(convert_to(entry.kind, 'UTF8')) || gateway.access_log_field(entry.record_id)
    || gateway.access_log_field(entry.request_id) || gateway.access_log_field(convert_to(entry.detail::text, 'UTF8'))
$$;

-- Links at most so many entries, oldest first. Returns how many; NULL when somebody else is at it. An entry is settled once every transaction
-- that began writing before its own has ended: nothing can come before it any more.
CREATE FUNCTION gateway.link_access_log(most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  last_sequence bigint := 0;
  last_entry bigint := 0;
  last_position bigint := -1;
  last_linked timestamptz := '-infinity';
  head bytea := decode(repeat('00', 32), 'hex');
  leaf bytea;
  base bigint;
  entry record;
  entries bigint[] := '{}';
  leaves bytea[] := '{}';
  heads bytea[] := '{}';
BEGIN
  -- Held until this transaction has ended and its links are visible to whoever gets it next.
  IF NOT pg_try_advisory_xact_lock(4150011) THEN RETURN NULL; END IF;
  SELECT added INTO STRICT base FROM gateway.access_log_base;
  SELECT l.sequence, l.entry_id, a.position, l.linked_at, l.head INTO last_sequence, last_entry, last_position, last_linked, head
    FROM gateway.access_log_link l LEFT JOIN gateway.access_log a ON a.id = l.entry_id ORDER BY l.sequence DESC LIMIT 1;
  IF NOT FOUND THEN
    last_sequence := 0; last_entry := 0; last_position := -1; last_linked := '-infinity'; head := decode(repeat('00', 32), 'hex');
  ELSIF last_position IS NULL THEN
    RAISE EXCEPTION 'entry % of the access log has the sequence % and is gone', last_entry, last_sequence USING ERRCODE = 'AL001';
  ELSIF last_position >= base + pg_snapshot_xmax(pg_current_snapshot())::text::bigint THEN
    RAISE EXCEPTION 'the access log is ahead of this server''s transactions: it was restored from a dump; run "npm run migrate"'
      USING ERRCODE = 'AL002';
  END IF;
  FOR entry IN
    SELECT a.id, gateway.access_log_preimage(a) AS preimage FROM gateway.access_log a
    WHERE (a.position, a.id) > (last_position, last_entry)
      AND a.position < base + pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    ORDER BY a.position, a.id LIMIT most
  LOOP
    last_sequence := last_sequence + 1;
    leaf := sha256(entry.preimage);
    head := sha256(head || decode(repeat('00', 24), 'hex') || int8send(last_sequence) || leaf);
    entries := entries || entry.id;
    leaves := leaves || leaf;
    heads := heads || head;
  END LOOP;
  IF cardinality(entries) > 0 THEN
    INSERT INTO gateway.access_log_link (sequence, entry_id, leaf, head, linked_at)
    SELECT last_sequence - cardinality(entries) + n, e, l, h, greatest(last_linked, clock_timestamp())
    FROM unnest(entries, leaves, heads) WITH ORDINALITY AS u(e, l, h, n);
  END IF;
  RETURN cardinality(entries);
END $$;

-- For the owner, after every migration: a dump that was restored into another server brings positions that server has yet to reach. Then new
-- ones are raised above them, and entries that were written before that and passed over come next.
CREATE FUNCTION gateway.rebase_access_log() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  newest bigint;
  passed_over boolean;
BEGIN
  SELECT max(position) INTO newest FROM gateway.access_log;
  SELECT l.sequence < (SELECT count(*) FROM gateway.access_log a WHERE (a.position, a.id) <= (last.position, last.id)) INTO passed_over
    FROM gateway.access_log_link l JOIN gateway.access_log last ON last.id = l.entry_id ORDER BY l.sequence DESC LIMIT 1;
  IF newest IS NULL OR NOT coalesce(passed_over, false)
    AND newest < pg_snapshot_xmax(pg_current_snapshot())::text::bigint + (SELECT added FROM gateway.access_log_base)
  THEN
    RETURN false;
  END IF;
  -- Nobody inserts meanwhile.
  ALTER TABLE gateway.access_log DISABLE TRIGGER tr_access_log_append_only;
  SELECT max(position) + 1 INTO newest FROM gateway.access_log;
  UPDATE gateway.access_log a SET position = newest
    WHERE NOT EXISTS (SELECT FROM gateway.access_log_link l WHERE l.entry_id = a.id);
  ALTER TABLE gateway.access_log ENABLE TRIGGER tr_access_log_append_only;
  UPDATE gateway.access_log_base SET added = newest;
  EXECUTE format('ALTER TABLE gateway.access_log ALTER COLUMN position SET DEFAULT (pg_current_xact_id()::text::bigint + %s)', newest);
  RETURN true;
END $$;

-- Against the owner's own mistakes; against everybody else there are the grants.
CREATE FUNCTION gateway.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%.% is append-only', TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'AL003';
END $$;
CREATE TRIGGER tr_access_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gateway.access_log
  FOR EACH STATEMENT EXECUTE FUNCTION gateway.refuse_change();
CREATE TRIGGER tr_access_log_link_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gateway.access_log_link
  FOR EACH STATEMENT EXECUTE FUNCTION gateway.refuse_change();

REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON gateway.access_log FROM emr_gateway;
GRANT INSERT (principal, actor, kind, record_id, request_id, detail) ON gateway.access_log TO emr_gateway;
GRANT SELECT ON gateway.access_log_link, gateway.access_log_base TO emr_gateway;
REVOKE ALL ON FUNCTION gateway.link_access_log(integer), gateway.rebase_access_log() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.link_access_log(integer) TO emr_gateway;
`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only go forward: restore a backup instead.');
  }
}
