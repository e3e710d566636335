import { Injectable } from '@nestjs/common';
import { Grouped } from '../../../../libs/platform/src/grouped.js';
import type { Caller } from '../auth/caller.js';
import { AccessLogStore } from './access-log.store.js';
import type { LookKind } from './look.js';

export interface Look {
  kind: LookKind;
  recordId?: Buffer;
  requestId?: Buffer;
  /** Filters and counts; never identifiers or other personal data. */
  detail?: Record<string, unknown>;
}

/** Who looks: somebody with a token, or another hospital. */
type Looker = Pick<Caller, 'principal' | 'actor'>;

/** The append-only log of looks. Await it before anything of what was looked at leaves. */
@Injectable()
export class AccessLog {
  readonly #group: Grouped<Look & { principal: Buffer; actor?: Buffer }, undefined>;

  constructor(store: AccessLogStore) {
    this.#group = new Grouped((looks) => store.append(looks));
  }

  async record({ principal, actor }: Looker, look: Look): Promise<void> {
    await this.#group.add({ ...look, principal, ...(actor ? { actor: actor.address } : {}) });
  }
}

/** Another hospital as one who looks: its number stands where a caller's keyed hash would. */
export function hospitalPrincipal(hospital: number): Buffer {
  const principal = Buffer.alloc(32);
  principal.writeUInt32BE(hospital, 28);
  return principal;
}
