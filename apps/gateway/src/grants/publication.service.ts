import { Inject, Injectable } from '@nestjs/common';
import { Operation } from '../../../../libs/contracts/src/operations.js';
import { parameters } from '../../../../libs/contracts/src/parameters.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { actorOf, type Caller } from '../auth/caller.js';
import { NETWORKS } from '../core.tokens.js';
import { ActorKeys } from '../keys/actor-keys.js';
import type { Step, StepIntent } from '../operations/act.js';
import type { LedgerRecord } from '../policy/ledger-record.js';
import { GrantsStore } from './grants.store.js';

const NO_ORIGIN = { origin: Buffer.alloc(32), originBlock: Buffer.alloc(32) };

/** A version that the global ledger lacks, as the act that brings it there. */
export interface MissingVersion {
  version: number;
  contentHash: Buffer;
  code: number;
  parameters: Buffer;
}

/** What the global ledger lacks of a record of this hospital. */
export interface Unpublished {
  /** Oldest first. */
  missing: MissingVersion[];
  /** Who brought the first version there, when it is there. */
  publisher?: Buffer;
  /** Who opened the record on the local ledger. */
  author: Buffer;
}

/** Brings records of ours to the global ledger, version by version, so that acts there have something to stand on. */
@Injectable()
export class Publication {
  constructor(
    private readonly store: GrantsStore,
    private readonly actorKeys: ActorKeys,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  /** As steps of a caller's act. Empty when the global ledger has every version already, or is the local one. */
  async steps(caller: Caller, record: LedgerRecord): Promise<Step[]> {
    const unpublished = await this.unpublished(record);
    if (!unpublished) return [];
    const clinician = caller.roles.includes('clinician') && caller.actor ? actorOf(caller).address : undefined;
    const signer = await this.#signer(caller, this.publisherOf(unpublished, clinician));
    return unpublished.missing.map(({ version, code, parameters }): Step => {
      const intent: StepIntent = { code, recordId: record.recordId, parameters, actor: signer };
      return { step: `publish-${version}`, network: this.networks.global, build: () => intent };
    });
  }

  /** Undefined when nothing is to be published. */
  async unpublished(record: LedgerRecord): Promise<Unpublished | undefined> {
    const { local, global } = this.networks;
    if (local === global || record.network !== local) return undefined;
    const [known, published] = await Promise.all([
      this.store.versions(local, record.recordId),
      this.store.versions(global, record.recordId),
    ]);
    const missing = known.slice(published.length).map(({ version, contentHash }): MissingVersion => {
      const { subject, level } = record;
      return version === 1
        ? {
            version,
            contentHash,
            code: Operation.OPEN,
            parameters: parameters.open({ contentHash, subject, level, ...NO_ORIGIN }),
          }
        : {
            version,
            contentHash,
            code: Operation.AMEND,
            parameters: parameters.amend({ expectedVersion: version - 1, contentHash }),
          };
    });
    const publisher = published[0]?.actor;
    return missing.length === 0 ? undefined : { missing, author: known[0]!.actor, ...(publisher ? { publisher } : {}) };
  }

  /**
   * The ledger lets clinicians open records, and amend those they opened. Who published first goes on; else the acting clinician; else (a
   * privacy officer, a patient) the record's own author, whose act is only repeated on the other ledger.
   */
  publisherOf({ publisher, author }: Unpublished, clinician: Buffer | undefined): Buffer {
    return publisher ?? clinician ?? author;
  }

  async #signer(caller: Caller, address: Buffer): Promise<StepIntent['actor']> {
    if (caller.actor?.address.equals(address)) return 'caller';
    const key = await this.actorKeys.privateKeyOf(address);
    if (key) return { address, key };
    throw new ProblemError('CONFLICT', {
      detail:
        'The record is not on the global ledger yet, and its author keeps their own key: they must publish it first.',
    });
  }
}
