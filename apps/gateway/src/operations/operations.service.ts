import { Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { Caller } from '../auth/caller.js';
import type { Preferences } from '../http/request-headers.js';
import type { ActRequest } from './act.js';

/** As chain-client's reader gives it; binary values are Buffers. */
export interface OperationView {
  id: string;
  type: string;
  state: string;
  network: string;
  recordId: Buffer;
  requestId: Buffer;
  createdAt: Date;
  updatedAt: Date;
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

@Injectable()
export class OperationsService {
  /**
   * Accepts an act: names it, has it signed, stores it. A replay of the same key gives the same operation.
   * Put checks against the present state into `steps[].build`: a replay must not fail because the first try succeeded.
   * @throws ProblemError IDEMPOTENCY_MISMATCH, QUEUE_FULL, FORBIDDEN (no actor), DATABASE_UNAVAILABLE
   */
  async perform(_caller: Caller, _request: ActRequest): Promise<OperationView> {
    throw new Error('not yet');
  }

  /** Answers with the operation as page 3 of the API says: 202, or after `Prefer: wait` 201, 200, 403 DENIED_BY_LEDGER, 409. Sends the reply. */
  async respond(
    _reply: FastifyReply,
    _operation: OperationView,
    _prefer: Preferences,
    _options: RespondOptions = {},
  ): Promise<void> {
    throw new Error('not yet');
  }
}
