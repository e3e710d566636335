import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { newOperationId } from '../../../../libs/chain-client/src/submission/operation.id.js';
import {
  type Accepted,
  endStates,
  IdempotencyMismatch,
  type NewOperation,
  type OperationView,
  withOutcome,
} from '../../../../libs/chain-client/src/submission/operation.types.js';
import type { Submission } from '../../../../libs/chain-client/src/submission/submission.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { type NetworksConfig, networkOf } from '../../../../libs/platform/src/networks.js';
import { Vault } from '../../../../libs/vault/src/vault.js';
import type { Caller } from '../auth/caller.js';
import { NETWORKS, SUBMISSION } from '../core.tokens.js';
import type { Preferences } from '../http/request-headers.js';
import type { ActRequest, Step } from './act.js';
import { IntentSigner } from './intent.signer.js';
import { presentOperation } from './operation.presenter.js';
import { OperationsStore } from './operations.store.js';
import { QueueDepth } from './queue-depth.js';

export type { OperationView };

/** The operation a caller gets, and with it the other steps of the same request. */
export interface Performed extends OperationView {
  steps?: OperationView[];
  /** Stored in this very turn, not found as a replay. */
  isNew?: true;
}

export interface RespondOptions {
  /** Location of what a confirmed act made; makes the answer 201. */
  createdLocation?: string;
  /** The resource itself, for `Prefer: return=representation`, called only once the act is confirmed. */
  representation?: () => Promise<Representation>;
}

export interface Representation {
  body: unknown;
  /** Default application/json. */
  mediaType?: string;
  headers?: Record<string, string>;
}

interface Prepared {
  step: Step;
  network: NetworksConfig['networks'][number];
  requestId: Buffer;
}

@Injectable()
export class OperationsService {
  constructor(
    @Inject(SUBMISSION) private readonly submission: Submission,
    private readonly signer: IntentSigner,
    private readonly store: OperationsStore,
    private readonly depth: QueueDepth,
    private readonly vault: Vault,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  /**
   * Accepts an act: names it, has it signed, stores it. A replay of the same key gives the same operation.
   * Put checks against the present state into `steps[].build`: a replay must not fail because the first try succeeded.
   * @throws ProblemError IDEMPOTENCY_MISMATCH, QUEUE_FULL, FORBIDDEN (no actor), and whatever `build` throws
   */
  async perform(caller: Caller, request: ActRequest): Promise<Performed> {
    const { issuer, clientId, subject } = caller;
    const prepared = request.steps.map((step): Prepared => {
      const scope = { issuer, clientId, subject, key: request.idempotencyKey };
      const requestId = this.vault.requestId(step.step === undefined ? scope : { ...scope, step: step.step });
      return { step, network: networkOf(this.networks, step.network), requestId };
    });
    const unnamed = prepared.findIndex(({ step }) => step.step === undefined);
    const main = unnamed === -1 ? prepared.length - 1 : unnamed;
    const bodyHash = this.vault.fingerprint(request.fingerprint);
    const replay = () => this.#replayOf(prepared, main, bodyHash);
    const replayed = request.buildsAlike ? undefined : await replay();
    if (replayed) return replayed;
    try {
      await this.#admit(prepared);
    } catch (error) {
      // What was accepted once is answered however many wait by now.
      const earlier = request.buildsAlike ? await replay() : undefined;
      if (earlier) return earlier;
      throw error;
    }
    const ids = prepared.map(() => newOperationId());
    const operations: NewOperation[] = [];
    for (const [index, { step, network, requestId }] of prepared.entries()) {
      const intent = await step.build(requestId);
      const signed = await this.signer.sign(caller, network, requestId, intent);
      operations.push({
        id: ids[index]!,
        network: network.name,
        requestId,
        bodyHash,
        principal: caller.principal,
        type: request.type,
        code: intent.code,
        recordId: intent.recordId,
        parameters: intent.parameters,
        parentId: index === main ? null : ids[main]!,
        actor: signed.actor,
        deadline: signed.deadline,
        authContext: signed.authContext,
        signature: signed.signature,
        authEvidence: signed.authEvidence,
      });
    }
    const accepted = await this.#accept(request, operations);
    // Two requests with one key at the same moment, or a replay that wasn't looked for: another one stored it.
    if (accepted.some((one) => one.replayed)) return (await replay()) ?? fail();
    // Just stored, before anything else happened to them.
    const views = accepted.map(({ operation }): Performed => ({ ...operation, state: 'accepted', isNew: true }));
    return withSteps(views, main);
  }

  /**
   * The network of the act that a request with this key became before. For features that choose the network by the present state: a replay
   * has to be performed on the one that was chosen the first time.
   */
  async acceptedOn(caller: Caller, idempotencyKey: string): Promise<string | undefined> {
    const { issuer, clientId, subject } = caller;
    const requestId = this.vault.requestId({ issuer, clientId, subject, key: idempotencyKey });
    for (const { name } of this.networks.networks) {
      if (await this.store.isKnown(name, requestId)) return name;
    }
    return undefined;
  }

  /**
   * Answers with the operation as the API's conventions say: 202, or once it has ended (after `Prefer: wait`) 201, 200, 403
   * DENIED_BY_LEDGER, 409 OPERATION_FAILED. A representation that can't be given is a problem that names the operation, which stands. Sends the reply: the controller injects it with `@Res()` and returns nothing.
   */
  async respond(
    reply: FastifyReply,
    operation: Performed,
    prefer: Preferences,
    options: RespondOptions = {},
  ): Promise<void> {
    // https://www.w3.org/TR/server-timing/: from the request's arrival to the commit that accepted it, in ms.
    void reply.header('Server-Timing', `accept;dur=${reply.elapsedTime.toFixed(2)}`);
    const ended = await this.#settle(operation, prefer.waitSeconds);
    const applied: string[] = prefer.waitSeconds > 0 ? [`wait=${prefer.waitSeconds}`] : [];
    const { state, outcome } = ended;
    if (state === 'denied') {
      throw new ProblemError('DENIED_BY_LEDGER', {
        extensions: { reason: outcome?.code, operation: presentOperation(ended) },
      });
    }
    if (state === 'failed' || state === 'cancelled') {
      throw new ProblemError('OPERATION_FAILED', {
        extensions: { reason: outcome?.code ?? state.toUpperCase(), operation: presentOperation(ended) },
      });
    }
    if (state !== 'confirmed') {
      if (applied.length > 0) void reply.header('Preference-Applied', applied.join(', '));
      await reply
        .code(202)
        .headers({ Location: `/v1/operations/${operation.id}`, 'Retry-After': '1' })
        .send(presentOperation(ended));
      return;
    }
    const { createdLocation } = options;
    void reply.code(createdLocation === undefined ? 200 : 201);
    if (createdLocation !== undefined) void reply.header('Location', createdLocation);
    let body: unknown = presentOperation(ended);
    if (prefer.representation && options.representation) {
      const representation = await options.representation().catch((error: unknown) => {
        throw happened(error, ended);
      });
      applied.push('return=representation');
      body = representation.body;
      void reply.headers({ ...representation.headers, 'X-Operation-Id': ended.id });
      void reply.type(representation.mediaType ?? 'application/json; charset=utf-8');
    }
    if (applied.length > 0) void reply.header('Preference-Applied', applied.join(', '));
    await reply.send(body);
  }

  /** @throws ProblemError QUEUE_FULL */
  async #admit(prepared: Prepared[]): Promise<void> {
    const names = prepared.map(({ network }) => network.name);
    if (names.some((name) => this.submission.crowded(name))) throw new ProblemError('QUEUE_FULL', { retryAfter: 1 });
    await this.depth.admit(names);
  }

  async #accept(request: ActRequest, operations: NewOperation[]): Promise<Accepted[]> {
    const { inSameCommit } = request;
    const requestIds = operations.map(({ requestId }) => requestId);
    try {
      if (operations.length === 1 && !inSameCommit) return [await this.submission.acceptor.accept(operations[0]!)];
      return await this.submission.acceptor.acceptWith(operations, async (manager) =>
        inSameCommit?.(manager, requestIds),
      );
    } catch (error) {
      throw error instanceof IdempotencyMismatch ? new ProblemError('IDEMPOTENCY_MISMATCH', { cause: error }) : error;
    }
  }

  async #replayOf(prepared: Prepared[], main: number, bodyHash: Buffer): Promise<Performed | undefined> {
    const { network, requestId } = prepared[main]!;
    if (!(await this.store.isKnown(network.name, requestId))) return undefined;
    const views = await Promise.all(
      prepared.map(async (one) => (await this.submission.reader.byRequestIds(one.network.name, [one.requestId]))[0]),
    );
    if (!views[main]?.bodyHash.equals(bodyHash)) throw new ProblemError('IDEMPOTENCY_MISMATCH');
    return withSteps(views, main);
  }

  /**
   * Brings main operation and steps to their ends, as far as the time allows. A step that ended otherwise than well speaks for all; the
   * main one speaks while it is on its way, then a step that still is.
   */
  async #settle(operation: Performed, seconds: number): Promise<OperationView> {
    const { steps = [], isNew } = operation;
    const since = isNew ? 'now' : 'earlier';
    const [ended, ...others] = await Promise.all(
      [operation, ...steps].map((view) => this.#endOf(view, seconds * 1000, since)),
    );
    const all = [ended!, ...others];
    const bad = all.find(({ state }) => endStates.has(state) && state !== 'confirmed');
    return bad ?? all.find(({ state }) => state !== 'confirmed') ?? ended!;
  }

  /** The operation as it ended, or as it stands when time is up. */
  async #endOf(view: OperationView, timeoutMs: number, since: 'now' | 'earlier'): Promise<OperationView> {
    if (timeoutMs <= 0 || endStates.has(view.state)) return view;
    const end = await this.submission.outcomes.waitFor(view.network, view.requestId, timeoutMs, since);
    return end ? withOutcome(view, end) : ((await this.submission.reader.byId(view.id)) ?? view);
  }
}

/** What was asked for was done, though its result can't be shown: whoever reads the problem has to know. */
function happened(error: unknown, operation: OperationView): unknown {
  if (!(error instanceof ProblemError)) return error;
  const { code, options } = error;
  return new ProblemError(code, {
    ...options,
    extensions: { ...options.extensions, operation: presentOperation(operation) },
  });
}

function withSteps(views: (OperationView | undefined)[], main: number): Performed {
  const steps = views.filter((view, index): view is OperationView => index !== main && view !== undefined);
  return steps.length === 0 ? views[main]! : { ...views[main]!, steps };
}

function fail(): never {
  throw new Error('an operation was neither stored nor found');
}
