import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { decodeEvent } from '../../../../libs/contracts/src/event.codec.js';
import { purposeName, reasonName } from '../../../../libs/contracts/src/operations.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { AccessLog } from '../audit/access-log.service.js';
import type { Caller } from '../auth/caller.js';
import { Patients } from '../emrs/patients.service.js';
import { decodeCursor } from '../http/page.js';
import type { AccessQuery, RecordAccess } from './accesses.schema.js';
import { AccessesStore, type AccessRow } from './accesses.store.js';
import { StaffIdentity } from './staff.service.js';

export const ACCESS_LIST = 'record-accesses';
const cursorKey = z.tuple([z.string().regex(/^-?\d{1,18}$/), z.string(), z.string().regex(/^\d{1,18}$/)]);
const WORD = 32;

export interface AccessesFound {
  rows: AccessRow[];
  present(row: AccessRow): RecordAccess;
}

/** Who looked at a record, for its patient: requests on the ledger, allowed and refused, and everything the access log has of it. */
@Injectable()
export class AccessesService {
  constructor(
    private readonly store: AccessesStore,
    private readonly staff: StaffIdentity,
    private readonly patients: Patients,
    private readonly accessLog: AccessLog,
  ) {}

  /** One row more than the limit. @throws ProblemError NOT_FOUND when it is no record of the caller's own */
  async list(caller: Caller, recordId: Buffer, query: AccessQuery): Promise<AccessesFound> {
    const account = this.patients.accountOf(caller);
    if (!account || !(await this.store.isOf(recordId, account))) throw new ProblemError('NOT_FOUND');
    const before = decodeCursor(ACCESS_LIST, query.cursor, cursorKey);
    const window = { from: microseconds(query.from), to: microseconds(query.to) };
    const rows = await this.store.list(recordId, caller.principal, window, before, query.limit + 1);
    const { from, to, limit } = query;
    await this.accessLog.record(caller, {
      kind: 'record-accesses',
      recordId,
      detail: { ...(from ? { from } : {}), ...(to ? { to } : {}), found: Math.min(rows.length, limit) },
    });
    return { rows, present: (row) => this.#present(row, account) };
  }

  #present(row: AccessRow, reader: Buffer): RecordAccess {
    const asked = queryOf(row);
    const refused = row.kind === 'release-refused' || row.detail?.refused === true;
    return {
      id: row.source === '' ? `al_${row.ordinal}` : `ev_${row.source}_${row.ordinal}`,
      kind: row.kind,
      time: new Date(Number(BigInt(row.time) / 1000n)).toISOString(),
      outcome: { code: row.outcome !== 0 ? reasonName(row.outcome) : refused ? 'REFUSED' : 'OK' },
      purpose: row.purpose === null ? null : purposeName(row.purpose),
      version: asked?.version ?? row.detail?.version ?? null,
      hospital: this.staff.hospital(row.hospital),
      who: this.staff.forPatient(row, asked?.team ?? null, reader),
      query:
        row.requestId && (row.kind === 'access-request' || row.kind.startsWith('release'))
          ? toHex(row.requestId)
          : null,
    };
  }
}

export function accessKey({ time, source, ordinal }: AccessRow): string[] {
  return [time, source, ordinal];
}

/** Version and team of the request that an access is, or follows. */
function queryOf({ topics, data }: AccessRow): { version: number; team: Buffer | null } | undefined {
  if (!topics || !data) return undefined;
  const words = Array.from({ length: topics.length / WORD }, (_, index) =>
    topics.subarray(WORD * index, WORD * (index + 1)),
  );
  const event = decodeEvent({ topics: words, data });
  if (event?.type !== 'RecordQueried') return undefined;
  const { version, basis } = event;
  // A team's address in a word: twelve zeros before. All zeros: the actor's own relation; anything else names a grant.
  const isTeam = basis.subarray(0, 12).every((byte) => byte === 0) && basis.some((byte) => byte !== 0);
  return { version, team: isTeam ? basis.subarray(12) : null };
}

function microseconds(text: string | undefined): string | undefined {
  return text === undefined ? undefined : `${Date.parse(text)}000`;
}
