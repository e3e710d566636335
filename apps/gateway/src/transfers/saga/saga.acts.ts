import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { signDigest } from '../../../../../libs/chain-client/src/keys/secp256k1.js';
import type { Submission } from '../../../../../libs/chain-client/src/submission/submission.js';
import { domainSeparator, intentDigest } from '../../../../../libs/contracts/src/intent.codec.js';
import { keccak256 } from '../../../../../libs/platform/src/keccak.js';
import { type NetworksConfig, networkOf } from '../../../../../libs/platform/src/networks.js';
import { NETWORKS, SUBMISSION } from '../../core.tokens.js';
import { ActorKeys } from '../../keys/actor-keys.js';

/** As for acts that people ask for: outlives every retry. */
const DEADLINE_SECONDS = 7 * 24 * 3600;
const ZERO_32 = Buffer.alloc(32);

export interface SagaIntent {
  requestId: Buffer;
  network: 'local' | 'global';
  /** e.g. "transfer-propose" */
  type: string;
  code: number;
  recordId: Buffer;
  parameters: Buffer;
  actor: Buffer;
  /** Whose operation it is shown as; null when a lost database forgot. */
  principal: Buffer | null;
  /** Commitment to the token of the request that this act follows from, and that request's operation. */
  cause: { operationId?: string; authContext: Buffer } | undefined;
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
    const network = networkOf(this.networks, intent.network);
    const { requestId, recordId, parameters, actor } = intent;
    const deadline = Math.floor(Date.now() / 1000) + DEADLINE_SECONDS;
    const authContext = intent.cause?.authContext ?? ZERO_32;
    const digest = intentDigest(domainSeparator(network.chainId, network.contract), {
      operation: intent.code,
      requestId,
      recordId,
      parameters,
      actor,
      deadline,
      authContext,
    });
    const operation = {
      network: network.name,
      requestId,
      // Not of a request's body: what identifies a saga's act is its id alone.
      bodyHash: keccak256(requestId),
      principal: intent.principal ?? ZERO_32,
      type: intent.type,
      code: intent.code,
      actor,
      recordId,
      parameters,
      deadline,
      authContext,
      signature: signDigest(key, digest),
      parentId: intent.cause?.operationId ?? null,
    };
    await this.submission.acceptor.acceptWith([operation], async (manager) => inSameCommit?.(manager));
  }
}
