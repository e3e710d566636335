import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import type { ChainReader } from '../../../../libs/chain-client/src/rpc/reader.js';
import type { Submission } from '../../../../libs/chain-client/src/submission/submission.js';
import { SUBMISSION } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { Metrics } from './metrics.js';
import { type NetworkFigures, type SignerFigures, WritePathStore } from './write-path.store.js';

interface NodeFigures {
  tip: bigint;
  signers: Map<number, { balance: bigint; mined: bigint; pending: bigint }>;
}

interface Snapshot {
  networks: (NetworkFigures & { node: NodeFigures | undefined })[];
  signers: SignerFigures[];
}

/** A node that doesn't answer within this is out of reach, as far as one scrape goes. */
const NODE_TIMEOUT_MS = 1_500;
const FRESH_MS = 500;
const signerStates = ['active', 'paused', 'quarantined'] as const;

/**
 * What the alert rules of deploy/prometheus stand on. Every replica reads the same tables and nodes, so rules take the maximum over
 * replicas; what a replica counts of its own work (`emr_sweeper_rescues_total`, `emr_…_signed_total`) is summed. The label `signer` is
 * the number in /v1/admin/signers.
 */
@Injectable()
export class WritePathMetrics {
  #snapshot: Promise<Snapshot> | undefined;
  readonly #final = new Map<string, { confirmed: number; denied: number; sequence: string }>();

  constructor(
    private readonly store: WritePathStore,
    @Inject(SUBMISSION) private readonly submission: Submission,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
    metrics: Metrics,
  ) {
    this.#ofNetworks(metrics);
    this.#ofSigners(metrics);
    this.#ofWork(metrics);
  }

  #ofNetworks(metrics: Metrics): void {
    const gauge = (name: string, help: string, read: (network: Snapshot['networks'][number]) => number | undefined) =>
      metrics.gauge(name, help, ['network'], async (to) => {
        const { networks } = await this.#read();
        for (const network of networks) {
          const value = read(network);
          if (value !== undefined) to.set({ network: network.network }, value);
        }
      });
    gauge(
      'emr_oldest_waiting_seconds',
      'Age of the oldest act that waits to be signed.',
      (of) => of.oldest_waiting ?? 0,
    );
    gauge(
      'emr_oldest_unmined_seconds',
      'Age of the oldest signed transaction that is in no block.',
      (of) => of.oldest_unmined ?? 0,
    );
    gauge('emr_node_reachable', '1 when the node answers.', ({ node }) => (node === undefined ? 0 : 1));
    gauge('emr_mirror_lag_blocks', 'Blocks the node has and the mirror has not; below 0 the node lost some.', (of) =>
      of.node === undefined ? undefined : Number(of.node.tip - BigInt(of.cursor ?? 0)),
    );
    metrics.gauge(
      'emr_acts_without_effect',
      'Acts that failed or were cancelled.',
      ['network', 'state'],
      async (to) => {
        for (const { network, failed, cancelled } of (await this.#read()).networks) {
          to.set({ network, state: 'failed' }, failed);
          to.set({ network, state: 'cancelled' }, cancelled);
        }
      },
    );
  }

  #ofSigners(metrics: Metrics): void {
    metrics.gauge('emr_signers', 'Signers by state.', ['network', 'state'], async (to) => {
      const { networks, signers } = await this.#read();
      for (const { network } of networks) {
        for (const state of signerStates) {
          const count = signers.filter((signer) => signer.network === network && signer.state === state).length;
          to.set({ network, state }, count);
        }
      }
    });
    type OfNode = { balance: bigint; mined: bigint; pending: bigint };
    const gauge = (name: string, help: string, read: (of: OfNode, signer: SignerFigures) => bigint) =>
      metrics.gauge(name, help, ['network', 'signer'], async (to) => {
        const { networks, signers } = await this.#read();
        for (const signer of signers) {
          const of = networks.find(({ network }) => network === signer.network)?.node?.signers.get(signer.id);
          if (of !== undefined) to.set({ network: signer.network, signer: signer.id }, Number(read(of, signer)));
        }
      });
    gauge('emr_signer_balance_wei', "The signer's balance; 0 where transactions are free.", ({ balance }) => balance);
    gauge(
      'emr_signer_unmined_nonces',
      'Nonces bound to bytes and not used in a block.',
      ({ mined }, signer) => BigInt(signer.next_nonce) - mined,
    );
    gauge(
      'emr_signer_nonce_gap',
      'Nonces bound to bytes that the node neither mined nor has in its pool in order; below 0 others used the key.',
      ({ pending }, signer) => BigInt(signer.next_nonce) - pending,
    );
  }

  #ofWork(metrics: Metrics): void {
    const { submission } = this;
    metrics.gauge('emr_acts_waiting', 'Acts that wait to be signed, about.', ['network'], async (to) => {
      for (const { name } of submission.networks) to.set({ network: name }, submission.depth(name));
    });
    metrics.counter(
      'emr_sweeper_rescues_total',
      'Transactions the node had lost, sent again.',
      ['network'],
      async (to) => {
        for (const [network, rescues] of submission.rescues) to.inc({ network }, rescues);
      },
    );
    // Acts by transactions is the mean size of a batch.
    metrics.counter('emr_transactions_signed_total', 'Transactions this process signed.', [], async (to) =>
      to.inc(submission.worker.stats.transactions),
    );
    metrics.counter('emr_acts_signed_total', 'Acts in the transactions this process signed.', [], async (to) =>
      to.inc(submission.worker.stats.acts),
    );
    metrics.counter(
      'emr_acts_final_total',
      "This hospital's acts that became final on the ledger since this process started, by outcome.",
      ['network', 'outcome'],
      async (to) => {
        for (const { name } of submission.networks) {
          const { confirmed, denied } = await this.#countFinal(name);
          to.inc({ network: name, outcome: 'confirmed' }, confirmed);
          to.inc({ network: name, outcome: 'denied' }, denied);
        }
      },
    );
  }

  /** Only what came since the last scrape is read. */
  async #countFinal(network: string): Promise<{ confirmed: number; denied: number }> {
    const before = this.#final.get(network);
    const more = await this.store.finalActs(network, this.env.HOSPITAL_ID, before?.sequence);
    const counted = {
      confirmed: (before?.confirmed ?? 0) + more.confirmed,
      denied: (before?.denied ?? 0) + more.denied,
      sequence: more.sequence,
    };
    this.#final.set(network, counted);
    return counted;
  }

  /** All metrics of one scrape share one look. */
  #read(): Promise<Snapshot> {
    if (this.#snapshot === undefined) {
      this.#snapshot = this.#look();
      void this.#snapshot
        .catch(() => undefined)
        .then(() => sleep(FRESH_MS, undefined, { ref: false }))
        .then(() => {
          this.#snapshot = undefined;
        });
    }
    return this.#snapshot;
  }

  async #look(): Promise<Snapshot> {
    const { networks } = this.submission;
    const [figures, signers] = await Promise.all([
      this.store.networks(networks.map(({ name }) => name)),
      this.store.signers(),
    ]);
    const looked = figures.map(async (of) => {
      const reader = networks.find(({ name }) => name === of.network)!.reader;
      const own = signers.filter(({ network }) => network === of.network);
      const late = sleep(NODE_TIMEOUT_MS, undefined, { ref: false });
      return { ...of, node: await Promise.race([askNode(reader, own).catch(() => undefined), late]) };
    });
    return { networks: await Promise.all(looked), signers };
  }
}

async function askNode(reader: ChainReader, signers: readonly SignerFigures[]): Promise<NodeFigures> {
  const of = new Map<number, { balance: bigint; mined: bigint; pending: bigint }>();
  const [tip] = await Promise.all([
    reader.blockNumber(),
    ...signers.map(async ({ id, address }) => {
      const [balance, mined, pending] = await Promise.all([
        reader.balance(address),
        reader.transactionCount(address, 'latest'),
        reader.transactionCount(address, 'pending'),
      ]);
      of.set(id, { balance, mined, pending });
    }),
  ]);
  return { tip, signers: of };
}
