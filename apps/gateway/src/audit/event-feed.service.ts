import { Injectable } from '@nestjs/common';
import type { AuditEvent } from './audit.schema.js';
import { AuditStore } from './audit.store.js';
import { presentEvent } from './event.presenter.js';

/** Events in the ledger's order, for what passes them on. Who may be told was decided when the receiver was added. */
@Injectable()
export class EventFeed {
  constructor(private readonly store: AuditStore) {}

  /**
   * Events of one network after a sequence, through another one, oldest first, `limit` at most.
   * @param through a final event's sequence
   * @param types undefined: all
   */
  async after(
    network: string,
    sequence: string,
    through: string,
    types: string[] | undefined,
    limit: number,
  ): Promise<AuditEvent[]> {
    return (await this.store.after(network, sequence, through, types, limit)).map(presentEvent);
  }
}
