import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { Vault } from '../../../../libs/vault/src/vault.js';
import { AccessLog } from '../audit/access-log.service.js';
import type { Caller } from '../auth/caller.js';
import { ActorKeys } from '../keys/actor-keys.js';
import { Records } from '../policy/records.service.js';
import type { PatientIdentifier } from './emrs.schema.js';
import { PatientsStore } from './patients.store.js';

/** Who a record is about: known here only, under a blind index and a seal. */
@Injectable()
export class Patients {
  constructor(
    private readonly store: PatientsStore,
    private readonly vault: Vault,
    private readonly actorKeys: ActorKeys,
    private readonly records: Records,
    private readonly accessLog: AccessLog,
  ) {}

  identifierIndex(identifier: PatientIdentifier): Buffer {
    return this.vault.indexOf(canonical(identifier));
  }

  /** Ties a record to its patient and keeps the record's subject key: in the commit that opens it. */
  async attach(
    manager: EntityManager,
    record: { recordId: Buffer; subject: Buffer; subjectKey: Buffer },
    identifier: PatientIdentifier,
  ): Promise<void> {
    const identifierIndex = this.identifierIndex(identifier);
    const { kekId, bytes } = this.vault.wrap(Buffer.from(canonical(identifier)), identifierIndex);
    const patientId = await this.store.upsert(manager, { identifierIndex, sealed: bytes, kekId });
    await this.store.link(manager, record.recordId, patientId, record.subject);
    await this.actorKeys.keepSubjectKey(record.subjectKey, manager);
  }

  /** The patient of a record, for whom it is handed on to; undefined when the record has none here. */
  async identifierOf(recordId: Buffer): Promise<PatientIdentifier | undefined> {
    const sealed = await this.store.sealedIdentifier(recordId);
    if (!sealed) return undefined;
    const [system, value] = JSON.parse(this.vault.unwrap(sealed, sealed.index).toString('utf8')) as [
      string | null,
      string,
    ];
    return { ...(system === null ? {} : { system }), value };
  }

  /**
   * Lets a log-in stand for a record's patient. Looks of that log-in are then the patient's own on the ledger, so who linked it is logged first.
   * @throws ProblemError NOT_FOUND when the record has no patient here, FORBIDDEN for the caller's own log-in
   */
  async linkAccount(caller: Caller, recordId: Buffer, issuer: string, subject: string): Promise<void> {
    if (issuer === caller.issuer && subject === caller.subject) {
      throw new ProblemError('FORBIDDEN', { detail: 'Somebody else has to link your own log-in.' });
    }
    await this.accessLog.record(caller, {
      kind: 'account-link',
      recordId,
      detail: { account: toHex(this.records.accountIndex(issuer, subject)) },
    });
    const linked = await this.store.linkAccount(recordId, this.records.accountIndex(issuer, subject));
    if (!linked) throw new ProblemError('NOT_FOUND');
  }

  /** Blind index of the caller's log-in, for patients; undefined for everybody else. */
  accountOf(caller: Caller): Buffer | undefined {
    return this.records.viewer(caller).account;
  }

  /** The key that acts as the record's subject, when `caller` is its patient; undefined when not. */
  async subjectActor(caller: Caller, recordId: Buffer): Promise<{ address: Buffer; key: Buffer } | undefined> {
    const account = this.accountOf(caller);
    const address = account && (await this.store.subjectFor(recordId, account));
    const key = address && (await this.actorKeys.privateKeyOf(address));
    return address && key ? { address, key } : undefined;
  }
}

/** One text for one identifier, however its Unicode was composed. */
function canonical({ system, value }: PatientIdentifier): string {
  return JSON.stringify([system?.normalize('NFC') ?? null, value.normalize('NFC')]);
}
