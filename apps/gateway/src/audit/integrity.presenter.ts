import { toHex } from '../../../../libs/platform/src/bytes.js';
import { toInstant } from '../http/fields.js';
import type { Integrity } from './audit.schema.js';
import type { IncidentRow, IntegrityRow } from './audit.store.js';

type NetworkIntegrity = Integrity['networks'][number];

export function presentIntegrity(
  row: IntegrityRow,
  incidents: readonly IncidentRow[],
  gaps: NetworkIntegrity['gaps'],
): NetworkIntegrity {
  // Of several open ones the lowest block is where the following stopped.
  const open = incidents.filter(({ resolvedAt, kind }) => resolvedAt === null && kind !== 'witness');
  const blocks = open.flatMap(({ block }) => (block === null ? [] : [BigInt(block)])).sort((a, b) => (a < b ? -1 : 1));
  return {
    network: row.network,
    verifiedThrough: { block: row.number, hash: toHex(row.hash) },
    finalThrough: row.finalNumber,
    sequence: row.sequence,
    head: toHex(row.head),
    events: row.events,
    gaps,
    reorganisations: row.reorganisations,
    beyondFinality: row.beyondFinality,
    lastCheckpoint: row.checkpoint && {
      block: row.checkpoint.block,
      hash: row.checkpoint.hash,
      sequence: row.checkpoint.sequence,
      head: row.checkpoint.head,
      proven: row.checkpoint.proven,
      proofMissing: row.checkpoint.proofMissing,
      secondNode: secondNodeOf(row.checkpoint),
    },
    incidents: incidents.map(({ kind, block, detail, seen, firstAt, lastAt, resolvedAt }) => ({
      kind,
      block,
      detail,
      seen,
      firstAt: toInstant(firstAt),
      lastAt: toInstant(lastAt),
      resolvedAt: resolvedAt && toInstant(resolvedAt),
    })),
    stopped: row.stoppedReason === null ? null : { reason: row.stoppedReason, block: blocks[0]?.toString() ?? null },
  };
}

function secondNodeOf({
  hash,
  witnessHash,
}: NonNullable<IntegrityRow['checkpoint']>): 'agrees' | 'differs' | 'not-asked' {
  if (witnessHash === null) return 'not-asked';
  return witnessHash === hash ? 'agrees' : 'differs';
}
