import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type InSameCommit, OperatorRefusal } from '../../../../libs/chain-client/src/submission/operator.signer.js';
import type { Submission } from '../../../../libs/chain-client/src/submission/submission.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { Caller } from '../auth/caller.js';
import { SUBMISSION } from '../core.tokens.js';
import { toInstant } from '../http/fields.js';
import { decodeCursor, pageOf } from '../http/page.js';
import { Keystores } from '../keys/keystores.js';
import { type ActionRow, type NewAction, SignerActionsStore } from './signer-actions.store.js';
import type {
  BumpRequest,
  NoopRequest,
  ReleaseRequest,
  SignerActionBody,
  SignerActionQuery,
  SignerBody,
  SignerTransactionBody,
} from './signers.schema.js';
import { type SignerRow, SignersStore, type TransactionRow } from './signers.store.js';

const ACTION_LIST = 'signer-actions';
const actionKey = z.tuple([z.string().regex(/^\d{1,18}$/)]);

/** The relayers' keys: what they are at, a hand on the brake, and what an operator does when one is stuck. All of it is recorded. */
@Injectable()
export class SignersService {
  constructor(
    private readonly store: SignersStore,
    private readonly keys: Keystores,
    private readonly actions: SignerActionsStore,
    @Inject(SUBMISSION) private readonly submission: Submission,
  ) {}

  async list(): Promise<SignerBody[]> {
    return (await this.store.list()).map(present);
  }

  /** In words, what keeps signers that are configured from signing. */
  async troubles(): Promise<string[]> {
    const configured = ({ network, address }: SignerRow) =>
      this.keys.relayers[network]?.some((signer) => signer.address.equals(address)) ?? false;
    const rows = (await this.store.list()).filter((row) => configured(row) && row.reason !== null);
    return rows.map(({ network, address, state, reason }) => {
      const trouble = state === 'active' ? 'does not sign' : `is ${state}`;
      return `the signer ${toHex(address)} of ${network} ${trouble}: ${reason}`;
    });
  }

  /** @throws ProblemError NOT_FOUND; CONFLICT for a quarantined signer, which is for `release` */
  async setPaused(caller: Caller, id: number, paused: boolean): Promise<SignerBody> {
    await this.store.setPaused(id, paused, caller);
    const signer = await this.#find(id);
    if (signer.state === 'quarantined') {
      throw new ProblemError('CONFLICT', {
        detail: `The signer is quarantined: ${signer.reason ?? 'no reason is known'}. Find the cause, then ask for its release.`,
      });
    }
    return signer;
  }

  async openTransactions(id: number): Promise<SignerTransactionBody[]> {
    await this.#find(id);
    return (await this.store.openTransactions(id)).map((row) => presentTransaction(id, row));
  }

  /** @throws ProblemError NOT_FOUND */
  async transaction(id: number, nonce: number): Promise<SignerTransactionBody> {
    const row = await this.store.transaction(id, nonce);
    if (row === undefined) throw new ProblemError('NOT_FOUND');
    return presentTransaction(id, row);
  }

  /** Gives a nonce a further form in which it may be mined. @throws ProblemError NOT_FOUND, CONFLICT with the reason */
  async replace(
    caller: Caller,
    at: { signer: number; nonce: number },
    kind: 'bump' | 'noop',
    body: BumpRequest & Partial<NoopRequest>,
  ): Promise<SignerTransactionBody> {
    const { reason, ticket, gasPrice, withdraw = [] } = body;
    const action = { caller, action: kind, signerId: at.signer, nonce: at.nonce, reason, ticket };
    await this.#recorded(action, (inSameCommit) =>
      this.submission.operator.replace({
        signerId: at.signer,
        nonce: BigInt(at.nonce),
        kind,
        withdraw,
        ...(gasPrice === undefined ? {} : { gasPrice: BigInt(gasPrice) }),
        inSameCommit,
      }),
    );
    return this.transaction(at.signer, at.nonce);
  }

  /** Lets a quarantined signer go on from where the chain is. @throws ProblemError NOT_FOUND, CONFLICT with the reason */
  async release(caller: Caller, signerId: number, { reason, ticket }: ReleaseRequest): Promise<SignerBody> {
    await this.#recorded({ caller, action: 'release', signerId, reason, ticket }, (inSameCommit) =>
      this.submission.operator.release({ signerId, inSameCommit }),
    );
    return this.#find(signerId);
  }

  async listActions(query: SignerActionQuery, exchange: { request: FastifyRequest; reply: FastifyReply }) {
    const rows = await this.actions.list(query, decodeCursor(ACTION_LIST, query.cursor, actionKey)?.[0]);
    return pageOf(exchange, ACTION_LIST, rows, query.limit, (row) => [row.id], presentAction);
  }

  /** What is done is recorded by the commit that does it; what isn't, by one of its own. */
  async #recorded(action: NewAction, act: (inSameCommit: InSameCommit) => Promise<unknown>): Promise<void> {
    try {
      await act((query, facts) =>
        this.actions.append(action, facts.made === false ? 'unchanged' : 'done', facts, query),
      );
    } catch (error) {
      const refusal = error instanceof OperatorRefusal ? error : undefined;
      if (refusal?.code === 'UNKNOWN_SIGNER') throw new ProblemError('NOT_FOUND', { cause: error });
      await this.actions.append(action, refusal ? 'refused' : 'failed', refusal ? { refusal: refusal.code } : {});
      throw refusal ? problemOf(refusal) : error;
    }
  }

  async #find(id: number): Promise<SignerBody> {
    const row = (await this.store.list()).find((signer) => signer.id === id);
    if (!row) throw new ProblemError('NOT_FOUND');
    return present(row);
  }
}

function problemOf(refusal: OperatorRefusal): ProblemError {
  if (refusal.code === 'UNKNOWN_NONCE')
    return new ProblemError('NOT_FOUND', { detail: refusal.message, cause: refusal });
  return new ProblemError('CONFLICT', {
    detail: refusal.message,
    extensions: { reason: refusal.code },
    cause: refusal,
  });
}

function present(row: SignerRow): SignerBody {
  return {
    id: row.id,
    network: row.network,
    address: toHex(row.address),
    state: row.state,
    ...(row.reason === null ? {} : { reason: row.reason }),
    nextNonce: row.next_nonce,
    open: row.open,
  };
}

function presentTransaction(signer: number, row: TransactionRow): SignerTransactionBody {
  return {
    signer,
    network: row.network,
    nonce: row.nonce,
    state: row.state,
    createdAt: toInstant(row.created_at),
    operations: row.operations,
    attempts: row.attempts.map(({ sentAt, answer, block, ...attempt }) => ({
      ...attempt,
      ...(sentAt === null ? {} : { sentAt: toInstant(new Date(sentAt)) }),
      ...(answer === null ? {} : { answer }),
      ...(block === null ? {} : { block }),
    })),
  };
}

function presentAction(row: ActionRow): SignerActionBody {
  return {
    id: row.id,
    at: toInstant(row.at),
    action: row.action,
    signer: row.signer_id,
    network: row.network,
    nonce: row.nonce,
    reason: row.reason,
    ticket: row.ticket,
    outcome: row.outcome,
    by: { principal: toHex(row.principal), ...(row.actor === null ? {} : { actor: toHex(row.actor) }) },
    detail: row.detail,
  };
}
