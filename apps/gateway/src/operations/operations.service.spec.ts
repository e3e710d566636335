import type { FastifyReply } from 'fastify';
import { describe, expect, it } from 'vitest';
import type { OperationOutcome, OperationState } from '../../../../libs/chain-client/src/submission/operation.types.js';
import type { Submission } from '../../../../libs/chain-client/src/submission/submission.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import type { Vault } from '../../../../libs/vault/src/vault.js';
import type { IntentSigner } from './intent.signer.js';
import { OperationsService, type OperationView, type RespondOptions } from './operations.service.js';
import type { OperationsStore } from './operations.store.js';
import type { QueueDepth } from './queue-depth.js';

function view(id: string, state: OperationState = 'accepted'): OperationView {
  const bytes = Buffer.alloc(32);
  return {
    ...{ id, state, ordinal: 1n, type: 'register-actor', code: 1, network: 'local', parentId: null },
    ...{ recordId: bytes, requestId: Buffer.from(id), actor: Buffer.alloc(20), principal: bytes, bodyHash: bytes },
    ...{ createdAt: new Date(0), updatedAt: new Date(0) },
  };
}

/** What is answered about a main operation with one step; `ends` tells which end in time, `stands` what the others came to. */
async function answerTo(
  waitSeconds: number,
  ends: string[],
  stands: Record<string, OperationState>,
  representation?: RespondOptions['representation'],
) {
  const submission = {
    outcomes: {
      waitFor: async (network: string, requestId: Buffer): Promise<OperationOutcome | undefined> =>
        ends.includes(requestId.toString())
          ? { network, requestId, state: 'confirmed', outcome: { code: 'OK' } }
          : undefined,
    },
    reader: { byId: async (id: string) => view(id, stands[id]) },
  } as unknown as Submission;
  const [signer, store, depth] = [{} as IntentSigner, {} as OperationsStore, {} as QueueDepth];
  const service = new OperationsService(submission, signer, store, depth, {} as Vault, {} as NetworksConfig);
  const answer = { status: 0, headers: {} as Record<string, string>, body: {} as { id?: string; state?: string } };
  const reply = {
    elapsedTime: 0,
    header: () => reply,
    code(status: number) {
      answer.status = status;
      return reply;
    },
    headers(headers: Record<string, string>) {
      answer.headers = headers;
      return reply;
    },
    async send(body: object) {
      answer.body = body;
    },
  };
  const operation = { ...view('op_main'), steps: [view('op_step')] };
  await service.respond(
    reply as unknown as FastifyReply,
    operation,
    { waitSeconds, representation: representation !== undefined },
    representation ? { representation } : {},
  );
  return answer;
}

describe('an act whose result cannot be shown', () => {
  const ends = ['op_main', 'op_step'];

  it('is a problem that names the operation, which stands', async () => {
    const gone = new ProblemError('GONE', { detail: 'The content is not here any more.', extensions: { since: 1 } });
    const answer = answerTo(1, ends, {}, () => Promise.reject(gone));
    await expect(answer).rejects.toMatchObject({
      ...{ code: 'GONE', message: gone.message },
      options: { extensions: { since: 1, operation: { id: 'op_main', state: 'confirmed' } } },
    });
  });

  it('passes on what is no problem of the request', async () => {
    const lost = new Error('Connection terminated');
    await expect(answerTo(1, ends, {}, () => Promise.reject(lost))).rejects.toBe(lost);
  });
});

describe('an act of several steps', () => {
  it('is answered with its main operation, which the Location names', async () => {
    const { status, headers, body } = await answerTo(0, [], {});
    expect({ status, id: body.id }).toEqual({ status: 202, id: 'op_main' });
    expect(headers.Location).toBe('/v1/operations/op_main');
  });

  it('is shown as it stands when time is up, its main operation first', async () => {
    const { status, body } = await answerTo(1, [], { op_main: 'mined', op_step: 'submitted' });
    expect({ status, ...body }).toMatchObject({ status: 202, id: 'op_main', state: 'mined' });
  });

  it('has not ended before each of its steps has', async () => {
    const open = await answerTo(1, ['op_main'], { op_step: 'submitted' });
    expect({ status: open.status, ...open.body }).toMatchObject({ status: 202, id: 'op_step', state: 'submitted' });
    expect(await answerTo(1, ['op_main', 'op_step'], {})).toMatchObject({ status: 200, body: { id: 'op_main' } });
  });
});
