import type { Logger } from '../../../platform/src/logger.js';
import type { Subscription } from '../rpc/rpc.types.js';
import type { SubmissionNetwork } from './submission.network.js';

/** Where the nodes seal at intervals, or lose what they were given, the next volley leaves after this long all the same. */
const LONGEST_MS = 100;
const SUBSCRIBE_AGAIN_MS = 1_000;

/**
 * Lets one signer's stored transactions out to the node in volleys, each when everything before it is in a block. A node that seals at
 * once (Clique, period 0) begins its block anew, on the same parent, with every transaction that arrives before that block is written:
 * the acts of those before it are executed again, and now and then two blocks of one height are sealed.
 */
export class Gate {
  #next: bigint | undefined;
  #waiting: { nonce: bigint; go(): void } | undefined;

  /** Resolves when a volley that begins with `nonce` may leave; at once while no head was heard of. One waits at a time. */
  async turn(nonce: bigint): Promise<void> {
    if (this.#next === undefined || nonce <= this.#next) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LONGEST_MS);
      this.#waiting = {
        nonce,
        go: () => {
          clearTimeout(timer);
          resolve();
        },
      };
    });
    this.#waiting = undefined;
  }

  /** @param next the account's nonce in the state of the newest block; undefined: not known any more */
  onHead(next: bigint | undefined): void {
    this.#next = next;
    if (this.#waiting && (next === undefined || this.#waiting.nonce <= next)) this.#waiting.go();
  }
}

/** Tells the gates of a network each new head, from whenever the node first answers. @returns the end of it */
export function followHeads(
  { name, reader }: SubmissionNetwork,
  gates: readonly { address: Buffer; gate: Gate }[],
  logger: Logger,
): () => Promise<void> {
  let subscription: Subscription | undefined;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let heads = 0;
  let told = 0;
  const tell = async () => {
    heads += 1;
    const head = heads;
    await Promise.all(
      gates.map(async ({ address, gate }) => {
        const next = await reader.transactionCount(address).catch(() => undefined);
        // What a later head's answer overtook says nothing any more.
        if (head < told) return;
        told = head;
        gate.onHead(next);
      }),
    );
  };
  const subscribe = async () => {
    try {
      subscription = await reader.onHead(
        () => void tell(),
        () => void tell(),
      );
      if (stopped) await subscription.close();
    } catch (error) {
      if (stopped) return;
      logger.debug({ err: error, network: name }, 'The node announces no heads yet: what is stored is sent at once.');
      timer = setTimeout(() => void subscribe(), SUBSCRIBE_AGAIN_MS);
      timer.unref();
    }
  };
  void subscribe();
  return async () => {
    stopped = true;
    clearTimeout(timer);
    await subscription?.close();
  };
}
