import type { PoolClient } from 'pg';
import { RpcError } from '../../../../libs/chain-client/src/rpc/rpc.error.js';
import type { NetworkConfig } from '../../../../libs/platform/src/networks.js';
import { InvalidProofError, provenSlots, stateRootOf } from '../../../../libs/proof/src/state-proof.js';
import type { BesideCheckpoint, Checkpoint } from '../commit/checkpoint.js';
import { noteIncident } from '../commit/incidents.js';
import type { PostgresMirror } from '../commit/postgres.mirror.js';
import type { FoldedBlock } from '../verify/ledger.fold.js';
import { MismatchError } from '../verify/mismatch.error.js';
import type { ChainSource, StateProof } from './chain-source.js';
import { MalformedAnswer } from './rpc-block.js';
import type { RunnerLog } from './runner-log.js';

interface Asked {
  checkpoint: Checkpoint;
  beside: BesideCheckpoint;
  /** Why there is nothing beside it. */
  failure?: unknown;
}

/** `_sequence` and `_head` of the ledger (libs/contracts/solidity/LedgerCore.sol). */
const SLOTS = [0, 1].map((slot) => {
  const word = Buffer.alloc(32);
  word[31] = slot;
  return word;
});

/**
 * What is asked besides at a checkpoint. Two witnesses to what the receipts have proven: the ledger's own storage, through the block's state
 * root, and another node's hash for the block. Far behind the head pages go on while a node answers, so one is kept with the next page's.
 */
export class Checkpoints {
  /** Never rejects. */
  private asked: Promise<Asked> | undefined;

  constructor(
    private readonly network: NetworkConfig,
    private readonly source: ChainSource,
    private readonly witness: ChainSource | undefined,
    private readonly log: RunnerLog,
  ) {}

  /**
   * Asks when a checkpoint is due at a final block. One that was asked for before is kept first.
   * @param page the blocks of the last commit
   * @throws as `keep`
   */
  async take(
    mirror: PostgresMirror,
    client: PoolClient,
    finalNumber: bigint,
    page: readonly FoldedBlock[],
  ): Promise<void> {
    await this.keep(mirror, client);
    const checkpoint = await mirror.dueCheckpoint(finalNumber, page);
    if (checkpoint) this.asked = this.ask(checkpoint);
  }

  /**
   * Keeps what was asked for: one commit holds the checkpoint and what was answered.
   * @throws MismatchError when the node's proof of the ledger's state was wrong, or proved something else than the events do
   */
  async keep(mirror: PostgresMirror, client: PoolClient): Promise<void> {
    const asked = await this.asked;
    this.asked = undefined;
    if (asked === undefined) return;
    const { checkpoint, beside, failure } = asked;
    const { name } = this.network;
    if (failure !== undefined) {
      // Kept without: the events have proven it, and a node that lies here would be caught again at every block.
      if (failure instanceof MismatchError) await mirror.keepCheckpoint(checkpoint);
      throw failure;
    }
    const { missing, witnessHash } = beside;
    if (missing) this.log.warn(`${name}: no state proof for the checkpoint at block ${checkpoint.number}. ${missing}`);
    await mirror.keepCheckpoint(checkpoint, beside);
    if (witnessHash === undefined || witnessHash.equals(checkpoint.hash)) return;
    const detail =
      `Block ${checkpoint.number} (0x${checkpoint.hash.toString('hex')}): the second node has 0x${witnessHash.toString('hex')} there. ` +
      'One of the two follows another history: ask a third, and see docs/runbook/indexer-stopped.md.';
    this.log.error(`ALARM: ${name}: ${detail}`);
    await noteIncident(client, name, {
      kind: 'witness',
      block: { number: checkpoint.number, hash: witnessHash },
      detail,
    });
  }

  /**
   * What was answered is heard even where following ends and nothing comes after it.
   * @param onLate told why it could not be kept, where following failed as well
   * @throws what following failed with; else as `keep`
   */
  async keepAfter(
    following: Promise<void>,
    mirror: PostgresMirror,
    client: PoolClient,
    onLate: (error: unknown) => Promise<void>,
  ): Promise<void> {
    try {
      await following;
    } catch (error) {
      await this.keep(mirror, client).catch(onLate);
      throw error;
    }
    await this.keep(mirror, client);
  }

  private async ask(checkpoint: Checkpoint): Promise<Asked> {
    try {
      const [proven, witnessHash] = await Promise.all([this.prove(checkpoint), this.askWitness(checkpoint)]);
      return { checkpoint, beside: { ...proven, witnessHash } };
    } catch (failure) {
      return { checkpoint, beside: {}, failure };
    }
  }

  private async prove(checkpoint: Checkpoint): Promise<Pick<BesideCheckpoint, 'proof' | 'missing'>> {
    let told: StateProof;
    try {
      told = await this.source.stateProof(this.network.contract, SLOTS, checkpoint.number);
    } catch (error) {
      // Not every node has the method, and few keep the state of blocks that are not their latest.
      if (error instanceof RpcError || error instanceof MalformedAnswer) return { missing: error.message };
      throw error;
    }
    const fail = (detail: string) => new MismatchError(checkpoint.number, checkpoint.hash, detail);
    let words: Buffer[];
    try {
      words = provenSlots(stateRootOf(checkpoint.header), this.network.contract, told.account, slotsOf(told));
    } catch (error) {
      if (!(error instanceof InvalidProofError)) throw error;
      throw fail(`the node's proof of the ledger's state does not hold: ${error.message}.`);
    }
    const [sequence, head] = words as [Buffer, Buffer];
    if (BigInt(`0x${sequence.toString('hex')}`) !== checkpoint.sequence || !head.equals(checkpoint.head)) {
      throw fail(
        `the ledger's state has sequence ${BigInt(`0x${sequence.toString('hex')}`)} and head 0x${head.toString('hex')}; ` +
          `its events give ${checkpoint.sequence} and 0x${checkpoint.head.toString('hex')}.`,
      );
    }
    return { proof: JSON.stringify(shown(told)) };
  }

  /** The second node is a witness, not a leader: when it can't be asked, that is all. */
  private async askWitness({ number }: Checkpoint): Promise<Buffer | undefined> {
    try {
      return await this.witness?.hashAt(number);
    } catch (error) {
      this.log.warn(
        `${this.network.name}: the second node was not to be asked about block ${number}. ${(error as Error).message}`,
      );
      return undefined;
    }
  }
}

function slotsOf({ slots }: StateProof) {
  return SLOTS.map((slot, index) => ({ slot, nodes: slots[index] ?? [] }));
}

/** As kept in `checkpoint.proof`: RLP of the nodes, from the root down. */
function shown({ account, slots }: StateProof) {
  const hex = (nodes: readonly Buffer[]) => nodes.map((node) => `0x${node.toString('hex')}`);
  return { account: hex(account), sequence: hex(slots[0] ?? []), head: hex(slots[1] ?? []) };
}
