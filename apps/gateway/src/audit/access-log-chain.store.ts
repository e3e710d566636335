import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

/** A linked entry of the access log. */
export interface LinkedEntry {
  /** Its place in the chain, as a decimal string. */
  sequence: string;
  /** The bytes its leaf is the SHA-256 of (docs/access-log.md). */
  preimage: Buffer;
  leaf: Buffer;
  /** Of the chain, after this entry. */
  head: Buffer;
  id: string;
  at: Date;
  /** `at` as Postgres writes it, to the microsecond: the list's sort key. */
  atText: string;
  principal: Buffer;
  actor: Buffer | null;
  kind: string;
  recordId: Buffer | null;
  requestId: Buffer | null;
  detail: Record<string, unknown>;
}

export interface EntryFilter {
  recordId?: Buffer;
  principal?: Buffer;
  actor?: Buffer;
  kind?: string;
  /** RFC 3339; of the look, inclusive. */
  from?: string;
  /** RFC 3339; exclusive. */
  to?: string;
}

export interface AccessLogHead {
  /** Of the last link, as a decimal string; 0 before the first. */
  sequence: string;
  /** 32 bytes. */
  head: Buffer;
  /** When it was linked; null before the first. */
  linkedAt: Date | null;
}

/** Age in seconds of the oldest entry that is not in the chain; 0 when all are. */
export interface ChainFigures {
  oldestUnlinked: number;
  sequence: string;
}

const COLUMNS = `l.sequence, gateway.access_log_preimage(a) AS preimage, l.leaf, l.head, a.id, a.at, a.at::text AS "atText", a.principal, a.actor,
  a.kind, a.record_id AS "recordId", a.request_id AS "requestId", a.detail`;
/** How many of the newest entries a scrape looks through for one that the chain passed over. */
const WATCHED = 2_000;

/** Reads the access log as a chain, and has new entries linked. Entries that aren't linked yet (a tenth of a second, as a rule) don't show. */
@Injectable()
export class AccessLogChainStore {
  constructor(private readonly dataSource: DataSource) {}

  /** Links at most `most` settled entries, oldest first. @returns how many; undefined when somebody else is at it */
  async link(most: number): Promise<number | undefined> {
    const rows: { linked: number | null }[] = await this.dataSource.query(
      'SELECT gateway.link_access_log($1) AS linked',
      [most],
    );
    return rows[0]?.linked ?? undefined;
  }

  async head(): Promise<AccessLogHead> {
    const rows: AccessLogHead[] = await this.dataSource.query(
      'SELECT sequence, head, linked_at AS "linkedAt" FROM gateway.access_log_link ORDER BY access_log_link.sequence DESC LIMIT 1',
    );
    return rows[0] ?? { sequence: '0', head: Buffer.alloc(32), linkedAt: null };
  }

  /** Newest look first, keyset on (at, id), of the entries that were linked by `through`. */
  entries(
    filter: EntryFilter,
    through: string,
    before: { at: string; id: string } | undefined,
    limit: number,
  ): Promise<LinkedEntry[]> {
    const values: unknown[] = [limit, through];
    const value = (it: unknown) => `$${values.push(it)}`;
    const conditions = ['l.sequence <= $2'];
    if (filter.recordId) conditions.push(`a.record_id = ${value(filter.recordId)}`);
    if (filter.principal) conditions.push(`a.principal = ${value(filter.principal)}`);
    if (filter.actor) conditions.push(`a.actor = ${value(filter.actor)}`);
    // The index on kinds leaves releases out, and is used only where the statement says so itself.
    if (filter.kind)
      conditions.push(`a.kind = ${value(filter.kind)}${filter.kind === 'release' ? '' : " AND a.kind <> 'release'"}`);
    if (filter.from) conditions.push(`a.at >= ${value(filter.from)}`);
    if (filter.to) conditions.push(`a.at < ${value(filter.to)}`);
    if (before) conditions.push(`(a.at, a.id) < (${value(before.at)}, ${value(before.id)})`);
    return this.dataSource.query(
      `SELECT ${COLUMNS} FROM gateway.access_log a JOIN gateway.access_log_link l ON l.entry_id = a.id
       WHERE ${conditions.join(' AND ')} ORDER BY a.at DESC, a.id DESC LIMIT $1`,
      values,
    );
  }

  /** A stretch of the chain in its own order: sequences behind `after`, up to `through`. */
  links(after: string, through: string, limit: number): Promise<LinkedEntry[]> {
    // LEFT: a link whose entry is gone has to show.
    return this.dataSource.query(
      `SELECT ${COLUMNS} FROM gateway.access_log_link l LEFT JOIN gateway.access_log a ON a.id = l.entry_id
       WHERE l.sequence > $1 AND l.sequence <= $2 ORDER BY l.sequence LIMIT $3`,
      [after, through, limit],
    );
  }

  /** What alarms stand on: what waits behind the last link, and what among the newest entries the chain passed over. */
  async figures(): Promise<ChainFigures> {
    const rows: { oldest: number | null; sequence: string | null }[] = await this.dataSource.query(
      `WITH last AS (
         SELECT l.sequence, a.position, a.id FROM gateway.access_log_link l JOIN gateway.access_log a ON a.id = l.entry_id
         ORDER BY l.sequence DESC LIMIT 1
       ), waiting AS (
         (SELECT a.at FROM gateway.access_log a
          WHERE (a.position, a.id) > (coalesce((SELECT position FROM last), -1), coalesce((SELECT id FROM last), 0))
          ORDER BY a.position, a.id LIMIT 1)
         UNION ALL
         SELECT a.at FROM (SELECT id, at FROM gateway.access_log ORDER BY id DESC LIMIT $1) a
         WHERE NOT EXISTS (SELECT FROM gateway.access_log_link l WHERE l.entry_id = a.id)
       )
       SELECT extract(epoch FROM clock_timestamp() - (SELECT min(at) FROM waiting))::float8 AS oldest, (SELECT sequence FROM last) AS sequence`,
      [WATCHED],
    );
    return { oldestUnlinked: Math.max(0, rows[0]?.oldest ?? 0), sequence: rows[0]?.sequence ?? '0' };
  }
}
