import type { PoolClient } from 'pg';

/** What a node was caught at (table `incident`). */
export interface Incident {
  kind: 'mismatch' | 'malformed' | 'beyond-finality' | 'replaced-chain' | 'witness';
  /** Undefined where it is about no one block. */
  block: { number: bigint; hash: Buffer } | undefined;
  detail: string;
}

/** Notes an incident; one that is open already is counted on. */
export async function noteIncident(client: PoolClient, network: string, incident: Incident): Promise<void> {
  await client.query(
    `INSERT INTO incident AS i (network, kind, block_number, block_hash, detail) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (network, kind, (CASE WHEN kind IN ('mismatch', 'witness') THEN block_number ELSE -1 END)) WHERE resolved_at IS NULL
     DO UPDATE SET seen = i.seen + 1, last_at = now(), detail = EXCLUDED.detail, block_number = EXCLUDED.block_number,
       block_hash = EXCLUDED.block_hash`,
    [network, incident.kind, incident.block?.number.toString(), incident.block?.hash, incident.detail],
  );
}

/** Says in the mirror itself why a network is no longer followed. There may be no cursor yet, and so nothing to say it in. */
export async function noteStop(client: PoolClient, network: string, reason: string): Promise<void> {
  await client.query('UPDATE cursor SET stopped_reason = $2 WHERE network = $1', [network, reason]);
}

/** The highest block with an open incident; −1 when the open ones are about no block; undefined when none is open. */
export async function openIncidents(client: PoolClient, network: string): Promise<bigint | undefined> {
  const { rows } = await client.query<{ highest: string | null }>(
    `SELECT max(COALESCE(block_number, -1)) AS highest FROM incident
     WHERE network = $1 AND resolved_at IS NULL AND kind <> 'witness'`,
    [network],
  );
  const highest = rows[0]?.highest;
  return highest === null || highest === undefined ? undefined : BigInt(highest);
}

/** The node's answers fit again. What it said before stays on record. */
export async function resolveIncidents(client: PoolClient, network: string): Promise<void> {
  await client.query(
    `WITH resolved AS (
       UPDATE incident SET resolved_at = now() WHERE network = $1 AND resolved_at IS NULL AND kind <> 'witness')
     UPDATE cursor SET stopped_reason = NULL WHERE network = $1 AND stopped_reason IS NOT NULL`,
    [network],
  );
}
