import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { endStates, type OperationView } from '../../../../libs/chain-client/src/submission/operation.types.js';
import type { Submission } from '../../../../libs/chain-client/src/submission/submission.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { AccessLog } from '../audit/access-log.service.js';
import { Authenticator } from '../auth/authenticator.js';
import type { Caller } from '../auth/caller.js';
import { SUBMISSION } from '../core.tokens.js';
import { decodeCursor, pageOf } from '../http/page.js';
import { presentOperation } from './operation.presenter.js';
import type { OperationBody, OperationQuery } from './operation.schema.js';

const LIST = 'operations';
const cursorKey = z.tuple([z.string().regex(/^\d{1,18}$/)]);
/** How long a stream waits for the end before it looks at the steps on the way. */
const LOOK_MS = 1_000;
const HEARTBEAT_MS = 15_000;
/** Longer than any act takes; an endless one would hold a connection for ever. */
const LONGEST_STREAM_MS = 10 * 60_000;
const MOST_STREAMS = 500;
/** One client must not take them all. */
const MOST_STREAMS_EACH = 20;

/** Operations as their owner, or an administrator or auditor, may see them. */
@Injectable()
export class OperationAccess {
  /** Open streams by principal. */
  readonly #streams = new Map<string, number>();

  constructor(
    @Inject(SUBMISSION) private readonly submission: Submission,
    private readonly authenticator: Authenticator,
    private readonly accessLog: AccessLog,
  ) {}

  /** @throws ProblemError NOT_FOUND also for others' operations: their existence is nobody's business */
  async find(caller: Caller, id: string): Promise<OperationView> {
    const view = await this.submission.reader.byId(id);
    if (!view || !(seesAll(caller) || view.principal.equals(caller.principal))) throw new ProblemError('NOT_FOUND');
    return view;
  }

  /** `find`, as a look of its own. */
  async look(caller: Caller, id: string): Promise<OperationView> {
    const view = await this.find(caller, id);
    const { recordId, requestId } = view;
    await this.accessLog.record(caller, { kind: 'operation', ...recordOf(recordId), requestId });
    return view;
  }

  async list(caller: Caller, query: OperationQuery, exchange: { request: FastifyRequest; reply: FastifyReply }) {
    const after = decodeCursor(LIST, query.cursor, cursorKey);
    const views = await this.submission.reader.list({
      limit: query.limit + 1,
      ...(seesAll(caller) ? {} : { principal: caller.principal }),
      ...(after ? { before: BigInt(after[0]) } : {}),
      ...(query.type === undefined ? {} : { type: query.type }),
    });
    const found = Math.min(views.length, query.limit);
    await this.accessLog.record(caller, {
      kind: 'operation-list',
      detail: { ...(query.type === undefined ? {} : { type: query.type }), all: seesAll(caller), found },
    });
    return pageOf(exchange, LIST, views, query.limit, (view) => [String(view.ordinal)], presentOperation);
  }

  /** Withdraws an act that isn't signed yet; who asked is recorded first. @throws ProblemError CONFLICT once its bytes may be out */
  async cancel(caller: Caller, id: string): Promise<OperationBody> {
    const view = await this.find(caller, id);
    // Admins and auditors may look at others' acts; only an admin may also stop them.
    const own = view.principal.equals(caller.principal);
    if (!own && !caller.roles.includes('admin')) throw new ProblemError('FORBIDDEN');
    const { recordId, requestId } = view;
    await this.accessLog.record(caller, {
      kind: 'operation-cancellation',
      ...recordOf(recordId),
      requestId,
      detail: { operation: id, own },
    });
    if (view.state !== 'cancelled' && (await this.submission.cancel(id)) !== 'cancelled') {
      throw new ProblemError('CONFLICT', {
        detail:
          'The operation is already signed or ended, and nothing was changed. While its transaction is in no block, an administrator can ask for ' +
          'a NOOP at its nonce: POST /v1/admin/signers/{id}/transactions/{nonce}/noop, with this operation under "withdraw".',
        extensions: { operation: presentOperation(await this.find(caller, id)) },
      });
    }
    return presentOperation(await this.find(caller, id));
  }

  /**
   * Server-sent events: `operation` with the body at each change of state, a comment as heartbeat; ends at a final state, and once the caller
   * would no longer be let in.
   * @throws ProblemError TOO_MANY_REQUESTS before anything is sent
   */
  stream(caller: Caller, first: OperationView): AsyncGenerator<string> {
    const open = [...this.#streams.values()].reduce((sum, count) => sum + count, 0);
    if (open >= MOST_STREAMS || (this.#streams.get(nameOf(caller)) ?? 0) >= MOST_STREAMS_EACH) {
      throw new ProblemError('TOO_MANY_REQUESTS', { retryAfter: 5 });
    }
    return this.#events(caller, first);
  }

  async *#events(caller: Caller, first: OperationView): AsyncGenerator<string> {
    const name = nameOf(caller);
    this.#streams.set(name, (this.#streams.get(name) ?? 0) + 1);
    try {
      const until = Date.now() + LONGEST_STREAM_MS;
      let view = first;
      let spokenAt = Date.now();
      let shown = '';
      while (Date.now() < until) {
        if (view.state !== shown) {
          shown = view.state;
          spokenAt = Date.now();
          yield `event: operation\nid: ${view.id}.${view.state}\ndata: ${JSON.stringify(presentOperation(view))}\n\n`;
        } else if (Date.now() - spokenAt >= HEARTBEAT_MS) {
          spokenAt = Date.now();
          yield ': still here\n\n';
        }
        if (endStates.has(view.state)) return;
        const asked = Date.now();
        await this.submission.outcomes.waitFor(view.network, view.requestId, LOOK_MS);
        // When the process stops, waiting ends at once: don't spin.
        if (Date.now() - asked < 5) await new Promise((resolve) => setTimeout(resolve, 50));
        if (!(await this.authenticator.stillStands(caller))) return;
        view = await this.find(caller, view.id);
      }
    } finally {
      const left = (this.#streams.get(name) ?? 1) - 1;
      if (left > 0) this.#streams.set(name, left);
      else this.#streams.delete(name);
    }
  }
}

/** None where an act concerns no record. */
function recordOf(recordId: Buffer): { recordId?: Buffer } {
  return recordId.some((byte) => byte !== 0) ? { recordId } : {};
}

function nameOf(caller: Caller): string {
  return caller.principal.toString('latin1');
}

function seesAll(caller: Caller): boolean {
  return caller.roles.includes('admin') || caller.roles.includes('auditor');
}
