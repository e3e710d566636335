/** A record as the mirror of its ledger shows it. */
export interface LedgerRecord {
  network: string;
  recordId: Buffer;
  custodian: number;
  version: number;
  contentHash: Buffer;
  level: number;
  subject: Buffer;
  status: 'open' | 'closed';
  frozenBy: Buffer | null;
  origin: Buffer | null;
  openedRequestId: Buffer;
  /** Unix seconds of block time. */
  openedAt: number;
}

/** Who looks: their address, and whether their office lets them see the metadata of every record of the hospital. */
export interface Viewer {
  actor: Buffer | undefined;
  /** Blind index of a patient's log-in. */
  account: Buffer | undefined;
  seesAll: boolean;
}

export interface RecordFilter {
  before?: { openedAt: number; recordId: Buffer };
  /** Only records of the patient with this blind index. */
  identifierIndex?: Buffer;
  limit: number;
}
