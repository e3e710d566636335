import { Inject, Injectable } from '@nestjs/common';
import { Operation } from '../../../../libs/contracts/src/operations.js';
import { parameters } from '../../../../libs/contracts/src/parameters.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { actorOf, type Caller } from '../auth/caller.js';
import { NETWORKS } from '../core.tokens.js';
import { ActorKeys } from '../keys/actor-keys.js';
import type { Step, StepIntent } from '../operations/act.js';
import type { LedgerRecord } from '../policy/records.store.js';
import { GrantsStore } from './grants.store.js';

const ZERO_32 = Buffer.alloc(32);

/** Steps that bring a record of ours to the global ledger, version by version, so that acts there have something to stand on. */
@Injectable()
export class Publication {
  constructor(
    private readonly store: GrantsStore,
    private readonly actorKeys: ActorKeys,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  /** Empty when the global ledger has every version already, or is the local one. */
  async steps(caller: Caller, record: LedgerRecord): Promise<Step[]> {
    const { local, global } = this.networks;
    if (local === global || record.network !== local) return [];
    const [known, published] = await Promise.all([
      this.store.versions(local, record.recordId),
      this.store.versions(global, record.recordId),
    ]);
    const missing = known.slice(published.length);
    if (missing.length === 0) return [];
    const publisher = await this.#publisher(caller, published[0]?.actor, known[0]!.actor);
    return missing.map(({ version, contentHash }): Step => {
      const { recordId, subject, level } = record;
      const intent: StepIntent =
        version === 1
          ? {
              code: Operation.OPEN,
              recordId,
              parameters: parameters.open({ contentHash, subject, level, origin: ZERO_32, originBlock: ZERO_32 }),
              actor: publisher,
            }
          : {
              code: Operation.AMEND,
              recordId,
              parameters: parameters.amend({ expectedVersion: version - 1, contentHash }),
              actor: publisher,
            };
      return { step: `publish-${version}`, network: global, build: () => intent };
    });
  }

  /**
   * The ledger lets clinicians open records, and amend those they opened. Who published first goes on; else the caller when they are a
   * clinician; else (a privacy officer, a patient) the record's own author, whose act is only repeated on the other ledger.
   */
  async #publisher(caller: Caller, first: Buffer | undefined, author: Buffer): Promise<StepIntent['actor']> {
    const address = first ?? (caller.roles.includes('clinician') && caller.actor ? actorOf(caller).address : author);
    if (caller.actor?.address.equals(address)) return 'caller';
    const key = await this.actorKeys.privateKeyOf(address);
    if (key) return { address, key };
    throw new ProblemError('CONFLICT', {
      detail:
        'The record is not on the global ledger yet, and its author keeps their own key: they must publish it first.',
    });
  }
}
