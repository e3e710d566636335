/** A confirmed query of this hospital for a record of another. */
export interface ForeignQuery {
  /** Network that confirmed it. */
  network: string;
  recordId: Buffer;
  version: number;
  /** SHA-256 of the manifest, from the ledger: what arrives must match it. */
  contentHash: Buffer;
  /** Hospital that has custody. */
  custodian: number;
  requestId: Buffer;
}

/** Fetches content that another hospital keeps, by a query that the global ledger confirmed. */
export abstract class ForeignContents {
  /** @throws ProblemError PEER_UNAVAILABLE, PEER_TIMEOUT, GONE */
  abstract fetch(query: ForeignQuery): Promise<{ mediaType: string; bytes: Buffer }>;
}
