import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { recover, signDigest } from '../../../../libs/chain-client/src/keys/secp256k1.js';
import { domainSeparator, intentDigest, type UnsignedIntent } from '../../../../libs/contracts/src/intent.codec.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { NetworkConfig, NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { Vault } from '../../../../libs/vault/src/vault.js';
import { actorOf, type Caller } from '../auth/caller.js';
import { NETWORKS } from '../core.tokens.js';
import { ActorKeys } from '../keys/actor-keys.js';
import { Keystores } from '../keys/keystores.js';
import type { StepIntent } from './act.js';
import { requireRoleOfToken } from './act-roles.js';

/** Outlives every retry. */
const DEADLINE_SECONDS = 7 * 24 * 3600;

export interface SignedIntent {
  actor: Buffer;
  deadline: number;
  authContext: Buffer;
  signature: Buffer;
  /** What `authContext` commits to, sealed: kek id length (1) ‖ kek id ‖ sealed bytes. */
  authEvidence: Buffer;
}

/** Names the actor of an act, ties it to the caller's token, and signs it. */
@Injectable()
export class IntentSigner {
  readonly #domains: Map<string, Buffer>;

  constructor(
    @Inject(NETWORKS) networks: NetworksConfig,
    private readonly vault: Vault,
    private readonly keystores: Keystores,
    private readonly actorKeys: ActorKeys,
  ) {
    this.#domains = new Map(networks.networks.map((n) => [n.name, domainSeparator(n.chainId, n.contract)]));
  }

  /** @throws ProblemError FORBIDDEN when the caller is no actor or the token lacks the role, INVALID_INPUT when a self-held key's signature is missing or wrong */
  async sign(caller: Caller, network: NetworkConfig, requestId: Buffer, step: StepIntent): Promise<SignedIntent> {
    const { address, key } = await this.#actorOf(caller, step);
    const salt = randomBytes(32);
    const intent: UnsignedIntent = {
      operation: step.code,
      requestId,
      recordId: step.recordId,
      parameters: step.parameters,
      actor: address,
      deadline: step.deadline ?? Math.floor(Date.now() / 1000) + DEADLINE_SECONDS,
      authContext: step.authContext ?? this.vault.authContext(salt, caller.tokenHash, caller.acr, caller.clientId),
    };
    const digest = intentDigest(this.#domains.get(network.name)!, intent);
    return {
      actor: address,
      deadline: intent.deadline,
      authContext: intent.authContext,
      signature: key ? signDigest(key, digest) : checked(step.signature, digest, address),
      authEvidence: this.#evidence(caller, salt, requestId),
    };
  }

  async #actorOf(caller: Caller, step: StepIntent): Promise<{ address: Buffer; key?: Buffer }> {
    const { actor = 'caller' } = step;
    if (actor === 'registrar') return this.keystores.registrar;
    if (actor !== 'caller') return actor;
    const { address, custody } = actorOf(caller);
    requireRoleOfToken(caller, step.code);
    if (custody === 'self' || step.signature) return { address };
    const key = await this.actorKeys.privateKeyOf(address);
    return key ? { address, key } : { address };
  }

  #evidence(caller: Caller, salt: Buffer, requestId: Buffer): Buffer {
    const { tokenHash, acr, clientId } = caller;
    const text = JSON.stringify({ salt: salt.toString('hex'), tokenHash: tokenHash.toString('hex'), acr, clientId });
    const { kekId, bytes } = this.vault.wrap(Buffer.from(text), requestId);
    const name = Buffer.from(kekId);
    return Buffer.concat([Buffer.from([name.length]), name, bytes]);
  }
}

/** A self-held key's signature, once it is seen to be one: the ledger would consume nothing, and the caller learn nothing. */
function checked(signature: Buffer | undefined, digest: Buffer, address: Buffer): Buffer {
  const wrong = (message: string) =>
    new ProblemError('INVALID_INPUT', { errors: [{ pointer: '/signature', message }] });
  if (!signature) throw wrong('You hold your own key: its signature over this act is needed.');
  try {
    if (signature.length === 65 && recover(digest, signature).equals(address)) return signature;
  } catch {
    // falls through to the one answer
  }
  throw wrong('The signature is not that of your key over this act.');
}
