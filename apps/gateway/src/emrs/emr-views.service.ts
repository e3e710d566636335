import { Injectable } from '@nestjs/common';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { AccessLog } from '../audit/access-log.service.js';
import type { Caller } from '../auth/caller.js';
import { toInstant } from '../http/fields.js';
import type { LedgerRecord, RecordFilter } from '../policy/ledger-record.js';
import { Records } from '../policy/records.service.js';
import type { Emr, PatientIdentifier } from './emrs.schema.js';
import { Patients } from './patients.service.js';

/** Looks at records' metadata; each is in the access log before it is answered. */
@Injectable()
export class EmrViews {
  constructor(
    private readonly records: Records,
    private readonly patients: Patients,
    private readonly accessLog: AccessLog,
  ) {}

  async one(caller: Caller, recordId: Buffer): Promise<LedgerRecord> {
    const record = await this.records.requireVisible(caller, recordId);
    await this.accessLog.record(caller, { kind: 'record-metadata', recordId });
    return record;
  }

  /** One row more than `limit`, so that the page knows whether another follows. */
  async list(caller: Caller, filter: Omit<RecordFilter, 'identifierIndex'>): Promise<LedgerRecord[]> {
    const rows = await this.records.list(caller, { ...filter, limit: filter.limit + 1 });
    await this.accessLog.record(caller, {
      kind: 'record-list',
      detail: { found: Math.min(rows.length, filter.limit) },
    });
    return rows;
  }

  async search(
    caller: Caller,
    identifier: PatientIdentifier,
    filter: Omit<RecordFilter, 'identifierIndex'>,
  ): Promise<LedgerRecord[]> {
    const identifierIndex = this.patients.identifierIndex(identifier);
    const rows = await this.records.list(caller, { ...filter, identifierIndex, limit: filter.limit + 1 });
    const found = rows.slice(0, filter.limit).map(({ recordId }) => toHex(recordId));
    await this.accessLog.record(caller, { kind: 'record-search', detail: { records: found } });
    return rows;
  }
}

export function presentEmr(record: LedgerRecord): Emr {
  const id = toHex(record.recordId);
  return {
    id,
    network: record.network,
    custodian: record.custodian,
    version: record.version,
    contentHash: toHex(record.contentHash),
    securityLevel: record.level,
    status: record.status,
    frozenBy: presentId(record.frozenBy),
    origin: presentId(record.origin),
    openedAt: toInstant(record.openedAt),
    links: {
      self: `/v1/emrs/${id}`,
      queries: `/v1/emrs/${id}/queries`,
      versions: `/v1/emrs/${id}/versions`,
      grants: `/v1/emrs/${id}/grants`,
    },
  };
}

/** 32 zero bytes and NULL both stand for none. */
function presentId(id: Buffer | null): string | null {
  return id?.some((byte) => byte !== 0) ? toHex(id) : null;
}
