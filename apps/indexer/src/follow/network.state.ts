import type { NetworkConfig } from '../../../../libs/platform/src/networks.js';
import type { MirrorState } from '../commit/mirror.js';

/**
 * What a network's follower is doing. `stopped`: what the node says can't be believed. Nothing is mirrored and the alarm stands until the node
 * is asked again, every so often, and its answers fit what is stored.
 */
export type Phase = 'connecting' | 'standby' | 'catching-up' | 'following' | 'stopped';

/** What health and metrics tell of one network. */
export class NetworkState {
  phase: Phase = 'connecting';
  mirror: MirrorState | undefined;
  headNumber: bigint | undefined;
  /** Head of the second node, when it was last asked; undefined where there is none or it doesn't answer. */
  witnessNumber: bigint | undefined;
  stoppedReason: string | undefined;
  /** Why the last try failed; undefined once it works again. */
  lastError: string | undefined;
  reorganisations = 0;
  /** Answers of the node that contradicted themselves or what is stored, since this process started. */
  mismatches = 0;

  constructor(readonly network: NetworkConfig) {}

  /** Blocks that the node has and the mirror hasn't. */
  get lag(): bigint | undefined {
    if (this.headNumber === undefined || this.mirror === undefined) return undefined;
    const lag = this.headNumber - this.mirror.tip.number;
    return lag > 0n ? lag : 0n;
  }

  /** Blocks that the second node has and the mirror hasn't: how a node that tells an old head for ever is seen. */
  get behindWitness(): bigint | undefined {
    if (this.witnessNumber === undefined || this.mirror === undefined) return undefined;
    const behind = this.witnessNumber - this.mirror.tip.number;
    return behind > 0n ? behind : 0n;
  }

  toJSON(): Record<string, unknown> {
    const { mirror } = this;
    return {
      phase: this.phase,
      cursor: mirror && { number: `${mirror.tip.number}`, hash: `0x${mirror.tip.hash.toString('hex')}` },
      verifiedThrough: mirror && `${mirror.tip.number}`,
      finalNumber: mirror && `${mirror.finalNumber}`,
      sequence: mirror && `${mirror.ledger.sequence}`,
      ledgerHead: mirror && `0x${mirror.ledger.head.toString('hex')}`,
      headNumber: this.headNumber?.toString(),
      lag: this.lag?.toString(),
      behindWitness: this.behindWitness?.toString(),
      reorganisations: this.reorganisations,
      mismatches: this.mismatches,
      stoppedReason: this.stoppedReason,
      lastError: this.lastError,
    };
  }
}
