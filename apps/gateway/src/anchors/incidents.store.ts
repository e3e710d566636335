import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { rowsOf } from '../../../../libs/database/src/transaction.js';

export type IncidentKind = 'fold' | 'block' | 'access-log';

/** What a hospital shows isn't what it anchored. */
export interface NewIncident {
  /** That carries the anchor. */
  network: string;
  hospital: number;
  chainId: bigint;
  kind: IncidentKind;
  anchorSequence: bigint;
  localBlock: bigint;
  localSequence: bigint;
  /** Head (fold, access-log) or block hash (block) as anchored; found instead, null for nothing. */
  anchored: Buffer;
  found: Buffer | null;
  /** One sentence for people. */
  detail: string;
}

export interface Incident extends NewIncident {
  foundAt: Date;
}

interface IncidentRecord {
  network: string;
  hospital: string;
  chain_id: string;
  kind: IncidentKind;
  anchor_sequence: string;
  local_block: string;
  local_sequence: string;
  anchored: Buffer;
  found: Buffer | null;
  detail: string;
  found_at: Date;
}

@Injectable()
export class IncidentsStore {
  constructor(private readonly database: DataSource) {}

  /** @returns whether it is new, or was resolved before */
  async open(incident: NewIncident): Promise<boolean> {
    const { network, hospital, chainId, kind, anchorSequence, localBlock, localSequence } = incident;
    const rows = await rowsOf(
      this.database,
      `INSERT INTO gateway.anchor_incident AS i (network, hospital, chain_id, kind, anchor_sequence, local_block, local_sequence, anchored, found, detail)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
       ON CONFLICT ON CONSTRAINT uq_anchor_incident DO UPDATE
         SET resolved_at = NULL, found_at = now(), found = EXCLUDED.found, detail = EXCLUDED.detail WHERE i.resolved_at IS NOT NULL
       RETURNING 1`,
      [
        ...[network, hospital, String(chainId), kind, String(anchorSequence), String(localBlock)],
        ...[String(localSequence), incident.anchored, incident.found, incident.detail],
      ],
    );
    return rows.length > 0;
  }

  /** @returns whether there was one to resolve */
  async resolve(network: string, anchorSequence: bigint, kind: IncidentKind): Promise<boolean> {
    const rows = await rowsOf(
      this.database,
      `UPDATE gateway.anchor_incident SET resolved_at = now()
       WHERE network = $1 AND anchor_sequence = $2 AND kind = $3 AND resolved_at IS NULL RETURNING 1`,
      [network, String(anchorSequence), kind],
    );
    return rows.length > 0;
  }

  /** Unresolved ones, oldest first. */
  async unresolved(network: string): Promise<Incident[]> {
    const rows: IncidentRecord[] = await this.database.query(
      `SELECT network, hospital, chain_id, kind, anchor_sequence, local_block, local_sequence, anchored, found, detail, found_at
       FROM gateway.anchor_incident WHERE network = $1 AND resolved_at IS NULL ORDER BY id`,
      [network],
    );
    return rows.map((row) => ({
      network: row.network,
      hospital: Number(row.hospital),
      chainId: BigInt(row.chain_id),
      kind: row.kind,
      anchorSequence: BigInt(row.anchor_sequence),
      localBlock: BigInt(row.local_block),
      localSequence: BigInt(row.local_sequence),
      anchored: row.anchored,
      found: row.found,
      detail: row.detail,
      foundAt: row.found_at,
    }));
  }
}
