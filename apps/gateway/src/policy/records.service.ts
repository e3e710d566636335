import { Injectable } from '@nestjs/common';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { Vault } from '../../../../libs/vault/src/vault.js';
import type { Caller, RoleName } from '../auth/caller.js';
import type { LedgerRecord, RecordFilter, Viewer } from './ledger-record.js';
import { RecordsStore } from './records.store.js';

/** Offices that come with a view of the metadata of every record of the hospital; content still takes a query. */
const SEES_ALL: readonly RoleName[] = ['records-officer', 'privacy-officer', 'auditor'];

/** Which records there are, and whose metadata a caller may see. */
@Injectable()
export class Records {
  constructor(
    private readonly store: RecordsStore,
    private readonly vault: Vault,
  ) {}

  /**
   * A record that acts can be asked for. Whether the caller may is the ledger's to say, so that a refusal is on record.
   * @throws ProblemError NOT_FOUND when no ledger here has it
   */
  async require(recordId: Buffer): Promise<LedgerRecord> {
    const record = await this.store.find(recordId);
    if (!record) throw new ProblemError('NOT_FOUND');
    return record;
  }

  isPublished(recordId: Buffer): Promise<boolean> {
    return this.store.isPublished(recordId);
  }

  /** Metadata for `caller`. @throws ProblemError NOT_FOUND when there is none they may see */
  async requireVisible(caller: Caller, recordId: Buffer): Promise<LedgerRecord> {
    const [record, visible] = await Promise.all([
      this.store.find(recordId),
      this.store.isVisible(recordId, this.viewer(caller)),
    ]);
    if (!record || !visible) throw new ProblemError('NOT_FOUND');
    return record;
  }

  list(caller: Caller, filter: RecordFilter): Promise<LedgerRecord[]> {
    return this.store.list(this.viewer(caller), filter);
  }

  viewer(caller: Caller): Viewer {
    return {
      actor: caller.actor?.address,
      account: caller.roles.includes('patient') ? this.accountIndex(caller.issuer, caller.subject) : undefined,
      seesAll: caller.roles.some((role) => SEES_ALL.includes(role)),
    };
  }

  /** Blind index of a log-in, as gateway.patient_account has it. */
  accountIndex(issuer: string, subject: string): Buffer {
    return this.vault.indexOf(JSON.stringify(['account', issuer, subject]));
  }
}
