import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import { rowsOf } from '../../../database/src/transaction.js';
import type { Logger } from '../../../platform/src/logger.js';
import type { NetworkConfig } from '../../../platform/src/networks.js';
import type { Signer } from '../keys/signer.js';
import { Acceptor } from './acceptor.js';
import { Depth } from './depth.js';
import { Doorbell } from './doorbell.js';
import { createFailpoint } from './failpoint.js';
import { OperationReader } from './operation.reader.js';
import type { OperatorContext } from './operator.signer.js';
import { type MirrorCommit, Outcomes } from './outcomes.js';
import { reconcile } from './reconcile.js';
import { type Released, type ReleaseRequest, release } from './release.js';
import { type Replaced, type ReplacementRequest, replace } from './replacement.js';
import { registerSigners } from './signer.state.js';
import { openNetwork, type SubmissionLimits, type SubmissionNetwork } from './submission.network.js';
import { Sweeper } from './sweeper.js';
import { SubmissionWorker } from './worker.js';

export interface SubmissionSettings {
  /** Initialised, as the gateway's role. */
  dataSource: DataSource;
  /** The same database, for the connection that listens. */
  databaseUrl: string;
  /** postgres://… (BullMQ's tables in schema `bullmq`) or redis://… */
  queueUrl: string;
  hospitalId: number;
  networks: readonly NetworkConfig[];
  /** By network name; none on a network: acts are accepted there and left to other processes. */
  signers: Readonly<Record<string, readonly Signer[]>>;
  logger: Logger;
  /** False: this process accepts and reads, others sign and send. Default true. */
  worker?: boolean;
  sweepMs?: number;
  limits?: Partial<SubmissionLimits>;
  /** See failpoint.ts; for chaos tests. */
  failpoint?: string;
}

export interface Submission {
  acceptor: Acceptor;
  reader: OperationReader;
  outcomes: Outcomes;
  worker: SubmissionWorker;
  sweeper: Sweeper;
  doorbell: Doorbell;
  networks: SubmissionNetwork[];
  /** Acts that wait to be signed, about: kept in memory, held against the table once a sweep. */
  depth(network: string): number;
  /** More acts wait to be accepted than a second or so carries. */
  crowded(network: string): boolean;
  /** Withdraws an act that was not signed yet. */
  cancel(operationId: string): Promise<'cancelled' | 'too-late' | 'unknown'>;
  /** An operator's tools: see replacement.ts and release.ts. Every process with the signer's key has them, worker or not. */
  operator: {
    replace(request: ReplacementRequest): Promise<Replaced>;
    release(request: ReleaseRequest): Promise<Released>;
  };
  /** Transactions sent again, by network, since this process started. */
  rescues: ReadonlyMap<string, number>;
  start(): Promise<void>;
  /** Finishes what is in hand; accepted acts stay for the next start or another process. */
  stop(): Promise<void>;
}

/** How long the start waits for the first sweep. */
const FIRST_SWEEP_MS = 2_000;

/** The write path of one process: accept → sign → broadcast → confirm → sweep. */
export function createSubmission(settings: SubmissionSettings): Submission {
  const { dataSource, logger, hospitalId } = settings;
  const failpoint = createFailpoint(settings.failpoint);
  const works = settings.worker ?? true;
  const networks = settings.networks.map((network) =>
    openNetwork(network, settings.signers[network.name] ?? [], settings.limits ?? {}),
  );
  const signing = networks.filter(({ signers }) => signers.length > 0);
  const depth = new Depth(dataSource);

  const doorbell = new Doorbell({
    queueUrl: settings.queueUrl,
    hospitalId,
    networks: networks.map(({ name }) => name),
    logger,
  });
  const onSigned = (network: string, acts: number) => depth.add(network, -acts);
  const worker = new SubmissionWorker({
    ...{ dataSource, networks: works ? signing : [], logger, failpoint, onSigned },
    accept: (operation) => acceptor.store(operation),
  });
  // This process first, without a detour; the bell is for the others, and needless while this one is at work anyway.
  const wake = (network: string) => {
    const busy = worker.draining(network);
    worker.kick(network);
    if (!busy) void doorbell.ring(network);
  };
  const acceptor: Acceptor = new Acceptor({
    dataSource,
    failpoint,
    offer: (operation) => worker.offer(operation),
    onAccepted: (network, count) => {
      depth.add(network, count);
      wake(network);
    },
  });
  const reader = new OperationReader(dataSource, hospitalId);
  const reconciler = new Reconciler(dataSource, signing, logger, worker);
  const outcomes = new Outcomes({
    dataSource,
    databaseUrl: settings.databaseUrl,
    reader,
    hospitalId,
    logger,
    onCommit: (commit) => reconciler.onCommit(commit),
  });
  const rescues = new Map(signing.map(({ name }) => [name, 0]));
  const sweeper = new Sweeper({
    dataSource,
    networks: signing,
    logger,
    failpoint,
    ...(settings.sweepMs === undefined ? {} : { intervalMs: settings.sweepMs }),
    ring: wake,
    onRescue: (network, transactions) => rescues.set(network, (rescues.get(network) ?? 0) + transactions),
  });
  const context: OperatorContext = { dataSource, networks, logger, failpoint, ring: wake };

  return {
    acceptor,
    reader,
    outcomes,
    worker,
    sweeper,
    doorbell,
    networks,
    depth: (network) => depth.of(network),
    crowded: (network) => worker.crowded(network),
    cancel: (operationId) => cancel(dataSource, operationId),
    operator: { replace: (request) => replace(context, request), release: (request) => release(context, request) },
    rescues,
    async start() {
      await outcomes.start();
      depth.start();
      if (!works) return;
      for (const network of signing) await registerSigners(dataSource, network);
      worker.start();
      doorbell.answer((network) => worker.drain(network));
      // Normally done in a moment. A node that doesn't answer must not keep acts from being accepted.
      await Promise.race([sweeper.sweep(true), sleep(FIRST_SWEEP_MS, undefined, { ref: false })]);
      sweeper.start();
    },
    async stop() {
      depth.stop();
      await sweeper.stop();
      await worker.stop();
      await outcomes.stop();
      await reconciler.stop();
      await doorbell.close();
      await Promise.all(networks.map(({ reader: { rpc } }) => rpc.close()));
      const signers = networks.flatMap((network) => network.signers);
      await Promise.all(signers.map((signer) => signer.remote && signer.close()));
    },
  };
}

/** Nobody waits for what it notes, so under load several commits of the mirror share a run. */
const RECONCILE_EVERY_MS = 100;

/** Reconciles a network after the mirror committed, one run at a time; commits that come meanwhile, or too soon, are one more run. */
class Reconciler {
  private readonly state = new Map<string, { running: Promise<void> | undefined; again: boolean }>();
  private readonly stopping = new AbortController();

  constructor(
    private readonly dataSource: DataSource,
    private readonly networks: SubmissionNetwork[],
    private readonly logger: Logger,
    private readonly worker: SubmissionWorker,
  ) {}

  onCommit(commit: MirrorCommit): void {
    const network = this.networks.find(({ name }) => name === commit.network);
    if (network === undefined) return;
    this.worker.mined(network.name);
    if (this.stopping.signal.aborted) return;
    const state = this.state.get(network.name) ?? { running: undefined, again: false };
    this.state.set(network.name, state);
    state.again = true;
    state.running ??= this.run(network, state);
  }

  /** Ends after the run in hand: what a later one would find belongs to whoever comes next. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await Promise.all([...this.state.values()].map(({ running }) => running));
  }

  private async run(
    network: SubmissionNetwork,
    state: { running: Promise<void> | undefined; again: boolean },
  ): Promise<void> {
    const { signal } = this.stopping;
    try {
      while (state.again && !signal.aborted) {
        state.again = false;
        const { returned } = await reconcile(this.dataSource, network, this.logger);
        if (returned > 0) this.worker.kick(network.name);
        await sleep(RECONCILE_EVERY_MS, undefined, { ref: false, signal }).catch(() => undefined);
      }
    } catch (error) {
      this.logger.warn({ err: error, network: network.name }, 'Reconciling failed; the sweeper does it again.');
    } finally {
      // In the same turn as the last look at `again`.
      state.running = undefined;
    }
  }
}

/** Only what never was signed, or whose transaction is final without effect, can be withdrawn; a lost database's acts can't. */
async function cancel(dataSource: DataSource, operationId: string): Promise<'cancelled' | 'too-late' | 'unknown'> {
  const [row] = await rowsOf<{ cancelled: boolean }>(
    dataSource,
    `WITH cancelled AS (
       UPDATE gateway.operation o SET phase = 'cancelled', updated_at = now()
       WHERE o.id = $1 AND o.phase = 'accepted' AND NOT EXISTS (
         SELECT FROM mirror.emr_event e WHERE e.network = o.network AND e.request_id = o.request_id)
       RETURNING 1)
     SELECT EXISTS (SELECT FROM cancelled) OR phase = 'cancelled' AS cancelled FROM gateway.operation WHERE id = $1`,
    [operationId],
  );
  if (row === undefined) return 'unknown';
  return row.cancelled ? 'cancelled' : 'too-late';
}
