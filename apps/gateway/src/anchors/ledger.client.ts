import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { fromHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { hash32 } from '../http/fields.js';
import { type PeerAnswer, PeerClient } from '../peering/peer.client.js';
import type { LedgerPoint } from './anchoring.store.js';
import { MOST_LEAVES } from './ledger.peer.js';

const LEAF_BYTES = 32;
const MAX_BYTES = Number(MOST_LEAVES) * LEAF_BYTES;
const pointSchema = z.object({ hash: hash32, sequence: z.string().regex(/^\d{1,19}$/), head: hash32 });

/** Asks another hospital's gateway for what its own ledger holds. */
@Injectable()
export class LedgerClient {
  constructor(private readonly client: PeerClient) {}

  /**
   * Leaves of the events behind `after`, at most through `through`; none where the hospital has none to give.
   * @throws ProblemError PEER_UNAVAILABLE or PEER_TIMEOUT
   */
  async leaves(hospital: number, chainId: bigint, after: bigint, through: bigint): Promise<Buffer[]> {
    const answer = await this.client.request(hospital, {
      method: 'GET',
      path: `/peer/v1/ledgers/${chainId}/leaves/${after}/${through}`,
      maxBytes: MAX_BYTES,
    });
    if (answer.status === 404) return [];
    requireOk(answer);
    const count = Math.floor(answer.body.length / LEAF_BYTES);
    const leaves = Array.from({ length: count }, (_, at) =>
      answer.body.subarray(LEAF_BYTES * at, LEAF_BYTES * (at + 1)),
    );
    return leaves.slice(0, Number(through - after));
  }

  /** What block `number` came to; undefined where the hospital's chain has none. @throws ProblemError as `leaves` */
  async block(hospital: number, chainId: bigint, number: bigint): Promise<Omit<LedgerPoint, 'number'> | undefined> {
    const path = `/peer/v1/ledgers/${chainId}/blocks/${number}`;
    const answer = await this.client.request(hospital, { method: 'GET', path });
    if (answer.status === 404) return undefined;
    requireOk(answer);
    const point = pointSchema.safeParse(parsed(answer.body));
    if (!point.success)
      throw new ProblemError('PEER_UNAVAILABLE', { detail: 'The other hospital answered with no block.' });
    const { hash, sequence, head } = point.data;
    return { hash: fromHex(hash), sequence: BigInt(sequence), head: fromHex(head) };
  }
}

function requireOk({ status }: PeerAnswer): void {
  if (status !== 200) throw new ProblemError('PEER_UNAVAILABLE', { detail: `The other hospital answered ${status}.` });
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}
