/**
 * SQL fragments on who stands how to a record, written once: the choice of a query's basis, the check at release and the lists of what
 * one may see must agree with each other, and with Records.sol and Grants.sol. The mirror's clock is block time; "now" here is ours.
 */
export const NOW = 'extract(epoch FROM now())::bigint';

/** 32 zero bytes: the own relation as a query's basis. */
export const OWN_BASIS = `'\\x${'00'.repeat(32)}'::bytea`;

/**
 * Whether the subquery finds a row, one key look-up for each row it is asked of. EXISTS would do the same, but lets the planner read the whole
 * table into a hash instead.
 */
export function found(from: string): string {
  return `((SELECT true ${from} LIMIT 1) IS TRUE)`;
}

/** `party` (SQL expression) is related to the record now. */
export function related(network: string, recordId: string, party: string): string {
  return found(`FROM mirror.relation rel WHERE rel.network = ${network} AND rel.record_id = ${recordId}
    AND rel.party = ${party} AND rel.ended_at IS NULL AND (rel.until = 0 OR rel.until > ${NOW})`);
}

/** `member` belongs to `team` of `hospital`. */
export function memberOf(network: string, hospital: string, team: string, member: string): string {
  return found(`FROM mirror.team_member tm WHERE tm.network = ${network} AND tm.hospital = ${hospital}
    AND tm.team = ${team} AND tm.member = ${member}`);
}

/** Subquery: teams of `actor` in `hospital` that are related to the record now. */
export function relatedTeams(network: string, recordId: string, actor: string, hospital: string): string {
  return `SELECT rel.party FROM mirror.team_member tm
    JOIN mirror.relation rel ON rel.network = tm.network AND rel.record_id = ${recordId} AND rel.party = tm.team
    WHERE tm.network = ${network} AND tm.hospital = ${hospital} AND tm.member = ${actor}
      AND rel.ended_at IS NULL AND (rel.until = 0 OR rel.until > ${NOW})`;
}

/** Condition on `grant` (alias of mirror.access_grant): it is in force and reaches `actor` of `hospital`. */
export function grantReaches(grant: string, actor: string, hospital: string): string {
  return `${grant}.grantee_hospital = ${hospital} AND ${grant}.revoked_at IS NULL
    AND ${grant}.not_before <= ${NOW} AND (${grant}.not_after = 0 OR ${grant}.not_after >= ${NOW})
    AND (${grant}.grantee = '\\x${'00'.repeat(20)}'::bytea OR ${grant}.grantee = ${actor}
      OR ${memberOf(`${grant}.network`, hospital, `${grant}.grantee`, actor)})`;
}

/** Condition on `grant`: it allows the operation with this code, for `purpose` (a number; 0 in the grant: any). */
export function grantAllows(grant: string, operation: number, purpose: string): string {
  return `(${grant}.operations & ${2 ** operation}) <> 0 AND ${grant}.purpose IN (0, ${purpose})`;
}
