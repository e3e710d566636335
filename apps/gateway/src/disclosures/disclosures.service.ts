import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { decodeEvent } from '../../../../libs/contracts/src/event.codec.js';
import { Purpose, purposeName } from '../../../../libs/contracts/src/operations.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { AccessLog } from '../audit/access-log.service.js';
import type { Caller } from '../auth/caller.js';
import { Patients } from '../emrs/patients.service.js';
import { bytesOf, toInstant } from '../http/fields.js';
import { decodeCursor } from '../http/page.js';
import type { Disclosure, DisclosureQuery, DisclosureSearch } from './disclosures.schema.js';
import { type DisclosureRow, type DisclosureScope, DisclosuresStore, type TimeWindow } from './disclosures.store.js';
import type { Staff } from './staff.schema.js';
import { StaffIdentity } from './staff.service.js';

export const DISCLOSURE_LIST = 'disclosures';
const cursorKey = z.tuple([z.int(), z.string(), z.string().regex(/^\d{1,19}$/)]);
/** 45 CFR 164.528(a)(1): six years before the request. */
const YEARS = 6;
/** 45 CFR 164.528(a)(1)(i) and (ii): treatment, payment, health care operations, the individual. */
const EXEMPT: readonly number[] = [Purpose.TREAT, Purpose.ETREAT, Purpose.HPAYMT, Purpose.HOPERAT, Purpose.PATRQT];
/** A transfer says why in words of its own. */
const purposeOfReason: Record<string, number> = {
  treatment: Purpose.TREAT,
  'second-opinion': Purpose.TREAT,
  relocation: Purpose.TREAT,
  'patient-request': Purpose.PATRQT,
};

export interface DisclosuresFound {
  rows: DisclosureRow[];
  present(row: DisclosureRow): Disclosure;
}

/** Accounting of disclosures (45 CFR 164.528): who received, when, what, why. Each look at it is in the access log before it is answered. */
@Injectable()
export class DisclosuresService {
  constructor(
    private readonly store: DisclosuresStore,
    private readonly staff: StaffIdentity,
    private readonly patients: Patients,
    private readonly accessLog: AccessLog,
  ) {}

  /** A patient's own: one row more than the limit. @throws ProblemError FORBIDDEN for who is no patient */
  async own(caller: Caller, query: DisclosureQuery): Promise<DisclosuresFound> {
    const account = this.patients.accountOf(caller);
    if (!account) throw new ProblemError('FORBIDDEN');
    const rows = await this.#list(caller, { account, ...recordOf(query) }, query);
    return { rows, present: (row) => this.#present(row, (of, team) => this.staff.forPatient(of, team, account)) };
  }

  /** Of any patient, for an officer: one row more than the limit. */
  async search(caller: Caller, query: DisclosureSearch): Promise<DisclosuresFound> {
    const identifier = query.patient?.identifier;
    const scope: DisclosureScope = {
      ...recordOf(query),
      ...(identifier ? { identifierIndex: this.patients.identifierIndex(identifier) } : {}),
    };
    const rows = await this.#list(caller, scope, query);
    return { rows, present: (row) => this.#present(row, (of, team) => this.staff.forOfficer(of, team)) };
  }

  async #list(
    caller: Caller,
    scope: DisclosureScope,
    query: DisclosureQuery | DisclosureSearch,
  ): Promise<DisclosureRow[]> {
    const before = decodeCursor(DISCLOSURE_LIST, query.cursor, cursorKey);
    const rows = await this.store.list(scope, windowOf(query), before, query.limit + 1);
    const { from, to, limit } = query;
    const shown = rows.slice(0, limit);
    await this.accessLog.record(caller, {
      kind: 'disclosures',
      ...(scope.recordId ? { recordId: scope.recordId } : {}),
      detail: {
        ...{ own: scope.account !== undefined, byPatient: scope.identifierIndex !== undefined, found: shown.length },
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
        records: [...new Set(shown.map(({ recordId }) => toHex(recordId)))],
      },
    });
    return rows;
  }

  #present(row: DisclosureRow, whoOf: (row: DisclosureRow, team: Buffer | null) => Staff): Disclosure {
    const transfer = row.type === 'TransferAccepted';
    const purpose = transfer ? (purposeOfReason[row.reason ?? ''] ?? null) : row.purpose;
    const hospital = this.staff.hospital(row.hospital);
    const own = hospital.number === this.staff.ownNumber;
    return {
      id: `ev_${row.network}_${row.sequence}`,
      kind: transfer ? 'transfer' : own ? 'other-purpose' : 'other-hospital',
      time: toInstant(row.time),
      recordId: toHex(row.recordId),
      version: transfer ? row.version : versionOf(row),
      recipient: { hospital, who: whoOf(row, null) },
      purpose: purpose === null ? null : (purposeName(purpose) as Disclosure['purpose']),
      handedOverAt: row.handedOverAt === null ? null : toInstant(row.handedOverAt),
      accountable: purpose === null || !EXEMPT.includes(purpose),
      sequence: row.sequence,
    };
  }
}

export function disclosureKey({ time, network, sequence }: DisclosureRow): (string | number)[] {
  return [time, network, sequence];
}

function recordOf({ recordId }: { recordId?: string | undefined }): { recordId?: Buffer } {
  return recordId === undefined ? {} : { recordId: bytesOf(recordId) };
}

function windowOf({ from, to }: { from?: string | undefined; to?: string | undefined }): TimeWindow {
  const earliest = new Date();
  earliest.setUTCFullYear(earliest.getUTCFullYear() - YEARS);
  const seconds = (text: string) => Math.ceil(Date.parse(text) / 1000);
  const start = Math.floor(earliest.getTime() / 1000);
  return {
    from: from === undefined ? start : Math.max(start, seconds(from)),
    to: to === undefined ? Number.MAX_SAFE_INTEGER : seconds(to),
  };
}

function versionOf({ topics, data }: DisclosureRow): number | null {
  const words = Array.from({ length: topics.length / 32 }, (_, index) => topics.subarray(32 * index, 32 * index + 32));
  const event = decodeEvent({ topics: words, data });
  return event?.type === 'RecordQueried' ? event.version : null;
}
