import type { DataSource } from 'typeorm';

/** A statement as a store sent it. */
export interface Sent {
  sql: string;
  values: unknown[];
}

/** What a statement did, by EXPLAIN ANALYZE. */
export interface Plan {
  /** Tables that were read from their beginning to their end. */
  seqScans: string[];
  /** Rows that its scans took up, also those a filter then threw away. */
  rowsRead: number;
  nodes: string[];
}

interface PlanNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Index Recheck'?: number;
  Plans?: PlanNode[];
}

/** A data source for a store that notes down what the store sends, and lets it through. */
export function recording(dataSource: DataSource, sent: Sent[]): DataSource {
  return {
    query: (sql: string, values: unknown[] = []) => {
      sent.push({ sql, values });
      return dataSource.query(sql, values);
    },
  } as DataSource;
}

/** Runs the statement and tells how Postgres did it. Parameters are bound as in the store, so that the plan is the same. */
export async function explain(dataSource: DataSource, { sql, values }: Sent): Promise<Plan> {
  const [row] = await dataSource.query(`EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${sql}`, values);
  const plan: Plan = { seqScans: [], rowsRead: 0, nodes: [] };
  const visit = (node: PlanNode) => {
    const loops = node['Actual Loops'];
    const removed = (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0);
    const type = node['Node Type'];
    plan.nodes.push(`${type} ${node['Index Name'] ?? node['Relation Name'] ?? ''}`.trim());
    // A bitmap's heap scan reads what its index scan found; the index scan is counted as it may find more.
    if (/Scan$/.test(type) && (node['Relation Name'] || node['Index Name']))
      plan.rowsRead += (node['Actual Rows'] + removed) * loops;
    if (type === 'Seq Scan') plan.seqScans.push(node['Relation Name'] ?? '');
    for (const child of node.Plans ?? []) visit(child);
  };
  visit(row['QUERY PLAN'][0].Plan);
  return plan;
}
