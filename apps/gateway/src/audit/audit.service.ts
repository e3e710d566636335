import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { Purpose } from '../../../../libs/contracts/src/operations.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { Caller } from '../auth/caller.js';
import { Patients } from '../emrs/patients.service.js';
import { bytesOf, toInstant } from '../http/fields.js';
import { decodeCursor } from '../http/page.js';
import { Records } from '../policy/records.service.js';
import { AccessLog } from './access-log.service.js';
import { AccessLogChain } from './access-log-chain.service.js';
import type { AuditEvent, AuditPage, AuditQuery, AuditSearch, Integrity } from './audit.schema.js';
import { AuditStore, type Confirmed, type EventRow, type SequenceRange } from './audit.store.js';
import { presentEvent } from './event.presenter.js';
import type { EventFilter } from './event-filter.sql.js';
import { presentIntegrity } from './integrity.presenter.js';

export const EVENT_LIST = 'audit-events';
/**
 * Sort key of the last event, so that the page after it begins there on every network; and the blocks up to which the first page looked, so that
 * every further one looks at the same history or says that it can't.
 */
const cursorKey = z.tuple([
  z.int(),
  z.string(),
  z.string().regex(/^\d{1,18}$/),
  z.string().regex(/^([a-z][a-z0-9-]{0,31}:\d{1,18}:[0-9a-f]{64}(;|$))*$/),
]);

export interface EventsFound extends Pick<AuditPage, 'confirmedThrough'> {
  rows: EventRow[];
  /** The key that a cursor carries of a row. */
  keyOf(row: EventRow): (string | number)[];
}

/** Which events a query asks for. */
export interface EventScope {
  confirmed: Confirmed[];
  ranges: SequenceRange[];
  filter: EventFilter;
}

/** The trail of acts: every one, allowed or denied, that is final. Each look at it is in the access log before it is answered. */
@Injectable()
export class AuditService {
  constructor(
    private readonly store: AuditStore,
    private readonly patients: Patients,
    private readonly records: Records,
    private readonly accessLog: AccessLog,
    private readonly accessLogChain: AccessLogChain,
  ) {}

  /** One row more than the limit, so that the page knows whether another follows. */
  async events(caller: Caller, query: AuditQuery | AuditSearch): Promise<EventsFound> {
    const cursor = decodeCursor(EVENT_LIST, query.cursor, cursorKey);
    const confirmed = cursor ? await this.#snapshot(cursor[3]) : await this.store.confirmed();
    const filter = this.#filterOf(caller, query);
    const ranges = await this.#ranges(confirmed, query);
    const rows = await this.#after(ranges, filter, cursor, query.limit + 1);
    const { limit, cursor: _, patient, ...named } = query as AuditSearch;
    await this.accessLog.record(caller, {
      kind: patient ? 'audit-search' : 'audit',
      ...(filter.recordId ? { recordId: filter.recordId } : {}),
      // Filters are codes and ids; a patient's identifier is left out.
      detail: { ...named, limit, byPatient: patient !== undefined, found: Math.min(rows.length, limit) },
    });
    const snapshot = confirmed
      .map(({ network, block, hash }) => `${network}:${block}:${hash.toString('hex')}`)
      .join(';');
    return {
      rows,
      keyOf: (row) => [row.blockTime, row.network, row.sequence, snapshot],
      confirmedThrough: throughOf(confirmed),
    };
  }

  /** All that is final now and fits the query; a patient's identifier is turned into the records it has now. */
  async scopeOf(caller: Caller, query: Omit<AuditSearch, 'limit' | 'cursor'>): Promise<EventScope> {
    const confirmed = await this.store.confirmed();
    const { identifierIndex, ...filter } = this.#filterOf(caller, query);
    const records = identifierIndex && (await this.store.recordsOfPatient(identifierIndex));
    return {
      confirmed,
      filter: records ? { ...filter, recordIds: records } : filter,
      ranges: await this.#ranges(confirmed, query),
    };
  }

  /** @throws ProblemError NOT_FOUND unless it is final, and, for a patient, about their own record */
  async event(caller: Caller, id: string): Promise<AuditEvent> {
    const [, network, sequence] = /^ev_(.+)_(\d+)$/.exec(id) ?? [];
    const row =
      network && sequence && BigInt(sequence) < 2n ** 63n ? await this.store.event(network, sequence) : undefined;
    if (!row) throw new ProblemError('NOT_FOUND');
    await this.requireOwn(caller, row.recordId);
    await this.accessLog.record(caller, { kind: 'audit', recordId: row.recordId, detail: { event: id } });
    return presentEvent(row);
  }

  /** @throws ProblemError NOT_FOUND for a patient, unless the record is theirs */
  async requireOwn(caller: Caller, recordId: Buffer): Promise<void> {
    const account = this.#accountOf(caller);
    if (account && !(await this.store.isOfAccount(recordId, account))) throw new ProblemError('NOT_FOUND');
  }

  async integrity(): Promise<Omit<Integrity, 'hospitals'>> {
    const [rows, log] = await Promise.all([this.store.integrity(), this.accessLogChain.head()]);
    const networks = await Promise.all(
      rows.map(async (row) =>
        presentIntegrity(
          row,
          await this.store.incidents(row.network),
          row.events === row.sequence ? [] : await this.store.gaps(row.network, row.sequence),
        ),
      ),
    );
    return {
      networks,
      accessLog: {
        sequence: log.sequence,
        head: toHex(log.head),
        linkedAt: log.linkedAt && toInstant(log.linkedAt),
      },
    };
  }

  /** Auditors and privacy officers read everything; a patient what concerns their own records. */
  #accountOf(caller: Caller): Buffer | undefined {
    if (caller.roles.includes('auditor') || caller.roles.includes('privacy-officer')) return undefined;
    return this.records.accountIndex(caller.issuer, caller.subject);
  }

  #filterOf(caller: Caller, query: Omit<AuditSearch, 'limit' | 'cursor'>): EventFilter {
    const account = this.#accountOf(caller);
    const identifier = query.patient?.identifier;
    return {
      ...(account ? { account } : {}),
      ...(identifier ? { identifierIndex: this.patients.identifierIndex(identifier) } : {}),
      ...(query.recordId ? { recordId: bytesOf(query.recordId) } : {}),
      ...(query.actor ? { actor: bytesOf(query.actor) } : {}),
      ...(query.device ? { device: bytesOf(query.device) } : {}),
      ...(query.type ? { type: query.type } : {}),
      ...(query.outcome ? { denied: query.outcome === 'denied' } : {}),
      ...(query.purpose ? { purpose: Purpose[query.purpose] } : {}),
    };
  }

  /** @throws ProblemError CONFLICT when a block that a former page looked up to isn't there any more */
  async #snapshot(text: string): Promise<Confirmed[]> {
    const blocks = text.split(';').map((entry) => {
      const [network = '', block = '', hash = ''] = entry.split(':');
      return { network, block, hash: Buffer.from(hash, 'hex') };
    });
    const standing = await this.store.standing(blocks);
    if (standing.length === blocks.length) return standing;
    throw new ProblemError('CONFLICT', {
      detail: 'A reorganisation replaced blocks that the pages before looked at. Start again without a cursor.',
    });
  }

  /** Final sequences of each network asked for, cut to the time asked for. */
  async #ranges(confirmed: Confirmed[], query: Pick<AuditQuery, 'network' | 'from' | 'to'>): Promise<SequenceRange[]> {
    const names = query.network?.split(',');
    const asked = confirmed.filter(({ network }) => names?.includes(network) ?? true);
    return Promise.all(
      asked.map(async ({ network, sequence }) => {
        const through = BigInt(sequence);
        const bound = (text: string) => this.store.firstSequenceAt(network, Date.parse(text) / 1000, through);
        return {
          network,
          from: query.from === undefined ? 1n : await bound(query.from),
          to: query.to === undefined ? through + 1n : await bound(query.to),
        };
      }),
    );
  }

  /** Rows behind the cursor in the order (time, network, sequence), all descending. */
  async #after(
    ranges: SequenceRange[],
    filter: EventFilter,
    cursor: z.output<typeof cursorKey> | undefined,
    limit: number,
  ): Promise<EventRow[]> {
    if (!cursor) return this.store.events(ranges, filter, limit);
    const [time, network, sequence] = cursor;
    const cut = await Promise.all(
      ranges.map(async (range) => {
        if (range.network === network) return { ...range, to: least(range.to, BigInt(sequence)) };
        // On another network, events of the same second sort behind the cursor when its name does.
        const bound = range.network < network ? time + 1 : time;
        return { ...range, to: await this.store.firstSequenceAt(range.network, bound, range.to - 1n) };
      }),
    );
    return this.store.events(cut, filter, limit);
  }
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function throughOf(confirmed: Confirmed[]): AuditPage['confirmedThrough'] {
  return Object.fromEntries(confirmed.map(({ network, block, sequence }) => [network, { block, sequence }]));
}
