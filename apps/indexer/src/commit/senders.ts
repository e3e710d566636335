import type { LedgerTransaction } from '../verify/block.verifier.js';
import type { PlacedEvent } from '../verify/ledger.fold.js';

/**
 * Whose transactions the ledger's are, mostly without a signature check: the ledger takes acts from a hospital's active relayers alone and
 * names the relayer's hospital in each event, so an event in a transaction sent to the ledger, carried for a hospital with one relayer,
 * has that one as its sender. Whatever is not told so (several relayers, a revert, a deployment) is recovered from the signature.
 */
export class Senders {
  private readonly relayers = new Map<number, Map<string, Buffer>>();

  /** @param active the active relayers before the first block that is asked for */
  constructor(active: readonly { hospital: number; address: Buffer }[]) {
    for (const { hospital, address } of active) this.relayersOf(hospital).set(address.toString('latin1'), address);
  }

  /**
   * Each of a block's transactions with its sender, 20 bytes. Blocks must be asked for in order, each once: their events change who may send.
   * @param events of this block, in order
   */
  of(
    transactions: readonly LedgerTransaction[],
    events: readonly PlacedEvent[],
  ): (readonly [LedgerTransaction, Buffer])[] {
    let next = 0;
    return transactions.map((transaction) => {
      const first = next;
      while (events[next]?.transactionIndex === transaction.index) next++;
      const own = events.slice(first, next);
      // Before its own events count: the sender was a relayer when the transaction began.
      const sender = this.senderOf(transaction, own[0]);
      for (const { event } of own) if (event.type === 'RelayerChanged') this.change(event);
      return [transaction, sender] as const;
    });
  }

  private senderOf({ sender, toLedger }: LedgerTransaction, first: PlacedEvent | undefined): Buffer {
    if (typeof sender !== 'function') return sender;
    const relayers = toLedger && first ? this.relayers.get(first.event.hospital) : undefined;
    const [only] = relayers?.size === 1 ? relayers.values() : [];
    return only ?? sender();
  }

  private change({ id, relayer, active }: { id: number; relayer: Buffer; active: boolean }): void {
    const relayers = this.relayersOf(id);
    // A copy lets the log go.
    if (active) relayers.set(relayer.toString('latin1'), Buffer.from(relayer));
    else relayers.delete(relayer.toString('latin1'));
  }

  private relayersOf(hospital: number): Map<string, Buffer> {
    const known = this.relayers.get(hospital) ?? new Map<string, Buffer>();
    this.relayers.set(hospital, known);
    return known;
  }
}
