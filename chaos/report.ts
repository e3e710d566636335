import type { Finding, FindingKind } from './oracle/judge.js';
import { ROWS } from './rows.js';
import type { RunResult } from './run.js';

export interface RunReport extends RunResult {
  number: number;
  scenario: string;
  seed: number;
  queue: string;
  rows: number[];
  seconds: number;
  /** folder of a run that went wrong */
  kept?: string;
}

export interface RowReport {
  row: number;
  event: string;
  faults: number;
  runs: number;
  lost: number;
  doubled: number;
  stuck: number;
  takenBack: number;
  other: number;
  scenarios: string[];
  note?: string;
}

export interface Report {
  command: string;
  rows: RowReport[];
  runs: RunReport[];
  totals: { runs: number; faults: number; acts: number; findings: number; failedRuns: number; rowsCovered: number };
}

const count = (findings: readonly Finding[], ...kinds: FindingKind[]) =>
  findings.filter(({ kind }) => kinds.includes(kind)).length;

/** Adds up what the runs found, by row of the matrix. A finding counts for each row its run had faults of. */
export function reportOf(command: string, runs: RunReport[]): Report {
  const rows = ROWS.map(({ row, event, elsewhere }): RowReport => {
    const touched = runs.filter(({ faults }) => faults.some((fault) => fault.rows.includes(row)));
    const sum = (of: (run: RunReport) => number) => touched.reduce((total, run) => total + of(run), 0);
    return {
      ...{ row, event, runs: touched.length },
      faults: sum(({ faults }) => faults.filter((fault) => fault.rows.includes(row)).length),
      lost: sum(({ findings }) => count(findings, 'lost')),
      doubled: sum(({ findings }) => count(findings, 'doubled')),
      stuck: sum(({ findings }) => count(findings, 'stuck')),
      takenBack: sum(({ findings }) => count(findings, 'taken-back')),
      other: sum(({ findings }) => count(findings, 'nonces', 'mirror', 'other')),
      scenarios: [...new Set(touched.map(({ scenario }) => scenario))],
      ...(touched.length === 0 ? { note: elsewhere ?? 'no fault injected in these runs' } : {}),
    };
  });
  const sum = (of: (run: RunReport) => number) => runs.reduce((total, run) => total + of(run), 0);
  return {
    ...{ command, rows, runs },
    totals: {
      runs: runs.length,
      faults: sum(({ faults }) => faults.length),
      acts: sum(({ acts }) => acts),
      findings: sum(({ findings }) => findings.length),
      failedRuns: runs.filter(({ findings }) => findings.length > 0).length,
      rowsCovered: rows.filter(({ faults }) => faults > 0).length,
    },
  };
}

/** The table, what went wrong, and one last line. */
export function textOf(report: Report): string {
  const head = ['row', 'event', 'faults', 'runs', 'lost', 'doubled', 'stuck', 'taken back', 'other', 'scenarios'];
  const lines = report.rows.map((row) =>
    row.faults === 0
      ? [row.row, row.event, 0, 0, '-', '-', '-', '-', '-', row.note ?? '']
      : [
          ...[row.row, row.event, row.faults, row.runs, row.lost, row.doubled, row.stuck, row.takenBack, row.other],
          row.scenarios.join(', '),
        ],
  );
  const table = [head, ...lines].map((line) => line.map(String));
  const widths = head.map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0)));
  const text = table.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const wrong = report.runs
    .filter(({ findings }) => findings.length > 0)
    .flatMap((run) => [
      `run ${run.number}: ${run.scenario}, seed ${run.seed}, queue on ${run.queue}${run.kept ? `, kept in ${run.kept}` : ''}`,
      `  again: npm run chaos -- --seed ${run.seed} --only ${run.scenario} --runs 1`,
      ...run.findings.slice(0, 12).map(({ kind, text: what }) => `  ${kind}: ${what}`),
      ...(run.findings.length > 12 ? [`  and ${run.findings.length - 12} more`] : []),
    ]);
  const { runs, faults, acts, failedRuns, rowsCovered } = report.totals;
  const last = `chaos: ${runs} runs, ${faults} faults, ${acts} acts, ${rowsCovered} of ${ROWS.length} rows: ${failedRuns === 0 ? 'nothing lost, doubled, stuck or taken back' : `${failedRuns} RUNS WENT WRONG`}`;
  return [...text, ...(wrong.length > 0 ? ['', ...wrong] : []), '', last].join('\n');
}
