import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { Submission } from '../../../../../libs/chain-client/src/submission/submission.js';
import { type NetworksConfig, networkOf } from '../../../../../libs/platform/src/networks.js';
import { NETWORKS, SUBMISSION } from '../../core.tokens.js';
import { ActorKeys } from '../../keys/actor-keys.js';
import { type UnattendedIntent, unattendedAct } from '../../operations/unattended-act.js';

export interface SagaIntent extends UnattendedIntent {
  network: 'local' | 'global';
  actor: Buffer;
}

/** The actor's key is not (or no longer) held by this gateway, so nothing can be signed in their name. */
export class ActorKeyMissing extends Error {
  constructor() {
    super("The actor's key is not held by this gateway.");
    this.name = 'ActorKeyMissing';
  }
}

/** Accepts acts that follow from a person's request without a token at hand, signed with that person's key, which the gateway keeps. */
@Injectable()
export class SagaActs {
  constructor(
    @Inject(SUBMISSION) private readonly submission: Submission,
    private readonly keys: ActorKeys,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  /** Whether this gateway can sign in the name of `actor`. */
  async holds(actor: Buffer): Promise<boolean> {
    return (await this.keys.privateKeyOf(actor)) !== undefined;
  }

  /**
   * Stores the act, once: a repeat under the same request id changes nothing.
   * @throws ActorKeyMissing, or the database's error
   */
  async accept(intent: SagaIntent, inSameCommit?: (manager: EntityManager) => Promise<void>): Promise<void> {
    const key = await this.keys.privateKeyOf(intent.actor);
    if (!key) throw new ActorKeyMissing();
    const operation = unattendedAct(networkOf(this.networks, intent.network), { address: intent.actor, key }, intent);
    await this.submission.acceptor.acceptWith([operation], async (manager) => inSameCommit?.(manager));
  }
}
