import type { Incident } from '../commit/incidents.js';
import { ReplacedChainError } from '../commit/network.rows.js';
import { MismatchError } from '../verify/mismatch.error.js';
import { BeyondFinalityError } from './progress.js';
import { MalformedAnswer } from './rpc-block.js';

/** How long a node is asked again, and how often. */
export interface Patience {
  /** Answers in a row that can't be believed before the network is stopped: a connection that garbles once is no liar. */
  tries: number;
  firstMs: number;
  longestMs: number;
  /** Between two looks at a node that can't be believed. */
  stoppedMs: number;
  /** Between two looks at the second node's head. */
  witnessMs: number;
}

export const PATIENCE: Patience = { tries: 3, firstMs: 100, longestMs: 5_000, stoppedMs: 5_000, witnessMs: 15_000 };

/** What the error accuses the node of; undefined for what merely went wrong. */
export function incidentOf(error: unknown): Incident | undefined {
  if (error instanceof MismatchError) {
    return { kind: 'mismatch', block: { number: error.blockNumber, hash: error.blockHash }, detail: error.message };
  }
  if (error instanceof MalformedAnswer) return { kind: 'malformed', block: undefined, detail: error.message };
  if (error instanceof BeyondFinalityError) {
    return { kind: 'beyond-finality', block: { number: error.number, hash: error.given }, detail: error.message };
  }
  if (error instanceof ReplacedChainError) return { kind: 'replaced-chain', block: undefined, detail: error.message };
  return undefined;
}

/** Whether asking again at once may help: an answer can be garbled on its way, a history isn't replaced by accident. */
export function mayPass({ kind }: Incident): boolean {
  return kind === 'mismatch' || kind === 'malformed';
}
