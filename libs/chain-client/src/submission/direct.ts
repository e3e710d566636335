import type { DataSource } from 'typeorm';
import { binaryArray } from '../../../database/src/binary-array.js';
import { inTransaction, pooled, type Query, type Statement } from '../../../database/src/transaction.js';
import type { LocalSigner } from '../keys/signer.js';
import type { Failpoint } from './failpoint.js';
import {
  acceptedRow,
  INSERTED_COLUMNS,
  type InsertedRow,
  insertOperations,
  type NamedOperation,
  OPERATION_ARRAYS,
  operationArrays,
} from './operation.insert.js';
import type { Accepted, IdempotencyMismatch } from './operation.types.js';
import { pack, slotsOf } from './packing.js';
import { FIRST_OTHERS } from './share.js';
import { GAS_PRICE, type Outgoing, type SignerState, sign, UNMINED } from './signing.js';
import { packLimits, type SubmissionNetwork } from './submission.network.js';

/** What became of acts that were to be accepted and signed at once. Those taken are the first `outcomes.length` of those given. */
export interface Direct {
  outcomes: (Accepted | IdempotencyMismatch)[];
  /** What carries them, in nonce order; empty where they are stored as accepted only, as something else goes before them. */
  attempts: Outgoing[];
  /** No transaction may be made before others are mined: nothing was stored. */
  full: boolean;
}

/** Acts of keys that were used before, by their place among those given. Nothing was stored; the others are to be tried again. */
export interface Known {
  known: number[];
}

/** A signer's row as it is thought to be. */
type Place = Pick<SignerState, 'id' | 'next_nonce' | 'fence'>;

interface Look extends SignerState {
  waiting: boolean;
  /** Places, from 1. */
  known: number[];
  in_flight: number;
  slots: number;
}

/** How often a signer that others moved meanwhile is looked at anew. */
const TRIES = 4;
/** How long a signer counts as shared after others moved it. */
const SHARED_MS = 1_000;
/** A turn takes some milliseconds. Whoever stalls in one (a paused process) loses it, so that the others go on. */
const PATIENCE = { idle: '1s', lock: '1s' };

// Each as a subquery of one row, which is looked up by an index: an EXISTS would be joined, by a plan made while the table was small.
/** Whether acts go before any that come now for signer `s`. */
const WAITING = `
  (SELECT true FROM gateway.operation o WHERE o.network = s.network AND o.phase = 'accepted' LIMIT 1) IS NOT NULL
  OR (SELECT true WHERE EXISTS (${FIRST_OTHERS})) IS NOT NULL`;
/** Places of the acts, from 1, whose request ids (an array parameter) were used before; no row for none. */
const knownAmong = (requestIds: string) => `
  SELECT q.n::int FROM unnest(${requestIds}::bytea[]) WITH ORDINALITY AS q(request_id, n)
  WHERE (SELECT true FROM gateway.operation o WHERE o.network = s.network AND o.request_id = q.request_id LIMIT 1)`;

const LOOK: Statement = {
  name: 'direct-look',
  text: `SELECT s.id, s.next_nonce, s.fence, s.state, unmined.in_flight, unmined.slots, ${WAITING} AS waiting,
      ARRAY(${knownAmong('$3')}) AS known
    FROM gateway.signer s, LATERAL (${UNMINED}) unmined
    WHERE s.network = $1 AND s.address = $2`,
};

// First, and apart: having waited for it, the look must see what the one before committed.
const LOCK: Statement = {
  name: 'direct-lock',
  text: 'SELECT FROM gateway.signer WHERE network = $1 AND address = $2 FOR UPDATE',
};

// One statement, and so one commit and one wait: nothing is stored unless the signer is where it is thought to be, free, and no key was
// used before. The signer's row is locked first, as everywhere, and only then are rows made that others may be about to make too.
const STORE: Statement = {
  name: 'direct-store',
  text: `WITH free AS MATERIALIZED (
      SELECT s.id FROM (SELECT set_config('lock_timeout', '5s', true)) AS patience, gateway.signer s, LATERAL (${UNMINED}) unmined
      WHERE s.id = $17 AND s.fence = $18 AND s.next_nonce = $19 AND s.state = 'active' AND NOT (${WAITING})
        AND unmined.in_flight < $20 AND unmined.slots <= $21
        AND (${knownAmong('$2')} LIMIT 1) IS NULL
      FOR UPDATE OF s
    ), stored AS (
      INSERT INTO gateway.operation (${INSERTED_COLUMNS}, phase) SELECT act.*, 'signed' FROM free, unnest(${OPERATION_ARRAYS}) AS act
      ON CONFLICT (network, request_id) DO NOTHING RETURNING id, ordinal, request_id, network, created_at
    ), made AS (
      INSERT INTO gateway.transaction (signer_id, nonce) SELECT id, $19 FROM free RETURNING id
    ), attempt AS (
      INSERT INTO gateway.attempt (transaction_id, number, kind, raw, hash, gas_price)
      SELECT id, 1, 'first', $22::bytea, $23::bytea, ${GAS_PRICE} FROM made
    ), rides AS (
      INSERT INTO gateway.transaction_operation (transaction_id, position, operation_ordinal)
      SELECT made.id, act.position - 1, stored.ordinal
      FROM made, unnest($2::bytea[]) WITH ORDINALITY AS act(request_id, position) JOIN stored USING (request_id)
    ), moved AS (
      UPDATE gateway.signer s SET next_nonce = s.next_nonce + 1, fence = s.fence + 1 FROM free WHERE s.id = free.id RETURNING 1
    ), whole AS (
      -- Another took one of the keys between the look and the lock: the division fails, and the statement with it.
      SELECT 1 / ((SELECT count(*) FROM stored) = cardinality($2::bytea[]) * (SELECT count(*) FROM moved))::int AS one
    )
    SELECT whole.one, stored.* FROM whole LEFT JOIN stored ON true`,
};

/** SQLSTATE of the division above, of a nonce or key that somebody else stored first, and of a turn lost by stalling in it. */
const OVERTAKEN = ['22012', '23505', '25P03'];

const FULL: Direct = { outcomes: [], attempts: [], full: true };

/**
 * Steps 1 and 2 of the write path in one commit, for one signer: stores acts together with the signed bytes that carry them. Nothing is
 * gained by accepting an act first when the signer is free to take it: it would be written twice. When something waits already the
 * acts are stored as accepted and take their place behind it.
 */
export class DirectSigning {
  /** Where the signer was left here: spares the look at its row until others move it. */
  #place: Place | undefined;
  #sharedUntil = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly dataSource: DataSource,
    private readonly network: SubmissionNetwork,
    private readonly signer: LocalSigner,
    private readonly failpoint: Failpoint,
  ) {}

  /** Whether another process signed with this key a moment ago: the two take turns then, as what one makes without is often overtaken. */
  get shared(): boolean {
    return performance.now() < this.#sharedUntil;
  }

  /** The signer was moved here by other means. */
  forget(): void {
    this.#place = undefined;
  }

  /**
   * @returns undefined when it can't be done so (others were faster each time): the acts are to be accepted the usual way
   * @throws Error of the driver: nothing was stored for those Postgres refused, by its SQLSTATE (a turn that did not come, 55P03, too); after a
   *   lost connection it is unknown
   */
  async acceptAndSign(operations: readonly NamedOperation[]): Promise<Direct | Known | undefined> {
    if (this.#place !== undefined && !this.shared) {
      const { acts } = this.#pack(operations, this.network.limits.maxPoolSlots);
      const direct = acts && (await orOvertaken(this.#store(acts, this.#place, pooled(this.dataSource))));
      if (direct !== undefined) return direct;
    }
    for (let tries = 0; tries < TRIES; tries += 1) {
      const direct = await orOvertaken(
        this.shared ? this.#takeTurn(operations) : this.#lookAndStore(operations, pooled(this.dataSource)),
      );
      if (direct !== undefined) return direct;
    }
    return undefined;
  }

  /** As `#lookAndStore`, with the signer locked from first to last: who shares it waits meanwhile, and signs nothing in vain. */
  #takeTurn(operations: readonly NamedOperation[]): Promise<Direct | Known | undefined> {
    return inTransaction(
      this.dataSource,
      async (query) => {
        await query(LOCK, [this.network.name, this.signer.address]);
        return this.#lookAndStore(operations, query);
      },
      PATIENCE,
    );
  }

  /** @returns undefined when others were faster, or there is no such signer: it is worth another try */
  async #lookAndStore(operations: readonly NamedOperation[], query: Query): Promise<Direct | Known | undefined> {
    const requestIds = binaryArray(
      'bytea',
      operations.map(({ requestId }) => requestId),
    );
    const [look] = await query<Look>(LOOK, [this.network.name, this.signer.address, requestIds]);
    if (look === undefined) return undefined;
    if (this.#place !== undefined && this.#place.fence !== look.fence)
      this.#sharedUntil = performance.now() + SHARED_MS;
    this.#place = look.waiting || look.state !== 'active' ? undefined : look;
    if (look.known.length > 0) return { known: look.known.map((place) => place - 1) };
    if (look.waiting || look.state !== 'active') return this.#acceptOnly(operations, query);
    const { maxTransactions, maxSlots } = packLimits(this.network, look.in_flight, look.slots);
    const { acts, oversized } = this.#pack(operations, maxSlots);
    // One that fits into no transaction fails by its own row, which is for the signing of waiting acts to write.
    if (oversized) return this.#acceptOnly(operations, query);
    if (maxTransactions === 0 || acts === undefined) return FULL;
    return this.#store(acts, look, query);
  }

  /** The leading acts that one transaction carries. */
  #pack(operations: readonly NamedOperation[], maxSlots: number) {
    const limits = { ...packLimits(this.network, 0, 0), maxTransactions: 1, maxSlots };
    const { transactions, oversized } = pack(operations, limits);
    return { acts: oversized.length === 0 ? transactions[0] : undefined, oversized: oversized.length > 0 };
  }

  async #acceptOnly(operations: readonly NamedOperation[], query: Query): Promise<Direct> {
    this.failpoint('before-accept-commit');
    return { outcomes: await insertOperations(operations, query), attempts: [], full: false };
  }

  /**
   * @returns undefined when the signer, or one of the keys, is not as thought: nothing was stored
   * @throws Error that `orOvertaken` knows, to the same effect
   */
  async #store(acts: readonly NamedOperation[], place: Place, query: Query): Promise<Direct | undefined> {
    const { network, signer, failpoint } = this;
    const attempt = sign(network, signer, BigInt(place.next_nonce), acts);
    const slots = slotsOf(attempt.raw.length);
    failpoint('before-accept-commit');
    failpoint('before-attempt-commit');
    const rows = await query<InsertedRow>(STORE, [
      ...operationArrays(acts),
      ...[place.id, place.fence, place.next_nonce],
      ...[network.limits.maxInFlight, network.limits.maxPoolSlots - slots, attempt.raw, attempt.hash],
    ]);
    const byId = new Map(rows.map((row) => [row.id, row]));
    if (!byId.has(acts[0]!.id)) return undefined;
    const after = (count: string) => String(BigInt(count) + 1n);
    this.#place = { id: place.id, fence: after(place.fence), next_nonce: after(place.next_nonce) };
    const outcomes = acts.map((operation): Accepted => {
      return { operation: acceptedRow(operation, byId.get(operation.id)!, 'signed'), replayed: false };
    });
    return { outcomes, attempts: [attempt], full: false };
  }
}

function orOvertaken<T>(work: Promise<T>): Promise<T | undefined> {
  return work.catch((error: unknown) => {
    if (OVERTAKEN.includes((error as { code?: string }).code ?? '')) return undefined;
    throw error;
  });
}
