import { Injectable } from '@nestjs/common';
import { Grouped } from '../../../../libs/platform/src/grouped.js';
import type { Caller } from '../auth/caller.js';
import { AccessLogStore } from './access-log.store.js';

/** Kinds of looks that are no acts on the ledger. Releases of content are written by the statement that decides them. */
export type LookKind =
  | 'record-metadata'
  | 'record-list'
  | 'record-search'
  | 'relation'
  | 'grants'
  | 'query'
  | 'audit'
  | 'audit-search'
  /** A log-in was made to stand for a record's patient; `detail.account` is its blind index. */
  | 'account-link'
  /** Somebody asked for an operation to be withdrawn; whether it was, the operation tells. `detail.own`: whose it was. */
  | 'operation-cancellation';

export interface Look {
  kind: LookKind;
  recordId?: Buffer;
  requestId?: Buffer;
  /** Filters and counts; never identifiers or other personal data. */
  detail?: Record<string, unknown>;
}

/** The append-only log of looks. Await it before anything of what was looked at leaves. */
@Injectable()
export class AccessLog {
  readonly #group: Grouped<Look & { principal: Buffer; actor?: Buffer }, undefined>;

  constructor(store: AccessLogStore) {
    this.#group = new Grouped((looks) => store.append(looks));
  }

  async record(caller: Caller, look: Look): Promise<void> {
    const { principal, actor } = caller;
    await this.#group.add({ ...look, principal, ...(actor ? { actor: actor.address } : {}) });
  }
}
