import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { NetworkState } from '../follow/network.state.js';
import type { FoldedBlock } from '../verify/ledger.fold.js';

/** What Prometheus scrapes. */
export class IndexerMetrics {
  readonly registry = new Registry();
  private readonly blocks = new Counter({
    name: 'emr_indexer_blocks_total',
    help: 'Blocks committed to the mirror',
    labelNames: ['network'],
    registers: [this.registry],
  });
  private readonly events = new Counter({
    name: 'emr_indexer_events_total',
    help: 'Sequenced events committed to the mirror',
    labelNames: ['network'],
    registers: [this.registry],
  });
  private readonly commitSeconds = new Histogram({
    name: 'emr_indexer_commit_seconds',
    help: 'Time from folded blocks to their commit',
    labelNames: ['network'],
    buckets: [0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1],
    registers: [this.registry],
  });
  private readonly reorganisations = new Counter({
    name: 'emr_indexer_reorganisations_total',
    help: 'Reorganisations carried out',
    labelNames: ['network'],
    registers: [this.registry],
  });
  private readonly mismatches = new Counter({
    name: 'emr_indexer_mismatches_total',
    help: 'Answers of the node that contradicted themselves or what is stored',
    labelNames: ['network'],
    registers: [this.registry],
  });

  private readonly damaged = new Gauge({
    name: 'emr_indexer_damaged_networks',
    help: 'Networks whose mirror contradicts itself: rows were changed by something other than the indexer',
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  /** Gauges are read when scraped. */
  observe(states: readonly NetworkState[]): void {
    const gauge = (name: string, help: string, read: (state: NetworkState) => number | undefined) =>
      new Gauge({
        name,
        help,
        labelNames: ['network'],
        registers: [this.registry],
        collect() {
          for (const state of states) {
            const value = read(state);
            if (value !== undefined) this.set({ network: state.network.name }, value);
          }
        },
      });
    gauge('emr_indexer_cursor_block', 'Last mirrored block', ({ mirror }) => toNumber(mirror?.tip.number));
    gauge('emr_indexer_final_block', 'Last final block', ({ mirror }) => toNumber(mirror?.finalNumber));
    gauge('emr_indexer_sequence', 'Last mirrored sequence of the ledger', ({ mirror }) =>
      toNumber(mirror?.ledger.sequence),
    );
    gauge('emr_indexer_lag_blocks', 'Blocks the node has and the mirror has not', ({ lag }) => toNumber(lag));
    gauge('emr_indexer_behind_witness_blocks', 'Blocks the second node has and the mirror has not', (state) =>
      toNumber(state.behindWitness),
    );
    gauge(
      'emr_indexer_stopped',
      '1 while a network is not followed because its node can not be believed',
      ({ phase }) => (phase === 'stopped' ? 1 : 0),
    );
  }

  onCommit(network: string, blocks: readonly FoldedBlock[], seconds: number): void {
    this.blocks.inc({ network }, blocks.length);
    this.events.inc(
      { network },
      blocks.reduce((sum, { events }) => sum + events.length, 0),
    );
    this.commitSeconds.observe({ network }, seconds);
  }

  onDamage(networks: number): void {
    this.damaged.set(networks);
  }

  onReorganisation(network: string): void {
    this.reorganisations.inc({ network });
  }

  onMismatch(network: string): void {
    this.mismatches.inc({ network });
  }
}

function toNumber(value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}
