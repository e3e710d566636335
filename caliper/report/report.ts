import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { machine } from '../../bench/report.js';
import type { Run } from '../figures.js';
import {
  consensuses,
  difficulties,
  EXPECTED_HASHES,
  minerCounts,
  type Operation,
  operations,
  type Path,
  paths,
} from '../matrix.js';
import { gridSvg, type LegendEntry, type Panel } from './svg.js';

/** What the figures were measured with, and how they are had again. */
export interface ReportFacts {
  matrix: string;
  command: string;
  caliper: string;
  web3: string;
  geth: string[];
  /** networks with a result, of so many in the matrix */
  measuredCells: number;
  cells: number;
  seconds: number;
}

export interface ReportFiles {
  markdown: string;
  machine: ReturnType<typeof machine>;
}

/** Writes report.md and a plot for each operation beside it. */
export async function writeReport(folder: string, runs: Run[], facts: ReportFacts): Promise<ReportFiles> {
  await mkdir(folder, { recursive: true });
  for (const operation of operations) {
    await writeFile(join(folder, `${operation}.svg`), plotOf(operation, runs));
  }
  const markdown = join(folder, 'report.md');
  const files = { markdown, machine: machine() };
  await writeFile(markdown, markdownOf(runs, facts, files.machine));
  return files;
}

const consensusTitles = {
  'clique-0': 'Clique, a block on arrival',
  'clique-1': 'Clique, a block a second',
  pow: 'proof of work',
};

/** Median latency and throughput over miners, a line for each difficulty and path, at the lowest load that was offered. */
export function plotOf(operation: Operation, runs: Run[]): string {
  const own = runs.filter((run) => run.operation === operation);
  const load = Math.min(...own.map(({ offered }) => offered));
  const rowOf = (title: string, figure: (run: Run) => number | null): Panel[] =>
    consensuses.map((consensus) => ({
      title: `${consensusTitles[consensus]}: ${title}`,
      ...{ xTitle: 'miners', xs: minerCounts },
      series: difficulties.flatMap((difficulty, colour) =>
        paths.map((path) => ({
          ...{ colour, dashed: path === 'gateway' },
          points: own
            .filter((run) => run.offered === load && run.consensus === consensus)
            .filter((run) => run.difficulty === difficulty && run.path === path)
            .flatMap((run): [number, number][] => {
              const value = figure(run);
              return value === null ? [] : [[run.miners, value]];
            }),
        })),
      ),
    }));
  const legend: LegendEntry[] = difficulties.flatMap((difficulty, colour) =>
    paths.map((path) => ({ label: `${difficulty}, ${path}`, colour, dashed: path === 'gateway' })),
  );
  const rows = [rowOf('p50, ms', ({ p50Ms }) => p50Ms), rowOf('confirmed a second', ({ throughput }) => throughput)];
  return gridSvg(`${operation}, ${load} a second offered`, rows, legend);
}

/** The report a person reads: what was done, with what, the plots, every figure. */
export function markdownOf(runs: Run[], facts: ReportFacts, on: ReportFiles['machine']): string {
  const whole = facts.measuredCells === facts.cells;
  return `${[
    `# Caliper, ${facts.matrix} matrix`,
    '',
    `\`${facts.command}\` — ${facts.measuredCells} of ${facts.cells} networks${whole ? '' : ' (a part of the matrix)'}, ${Math.round(facts.seconds / 60)} minutes.`,
    `${on.cpu}, ${on.cores} cores, ${on.memoryGiB} GiB, Node ${on.node}; geth ${facts.geth.join(' and ')}; Hyperledger Caliper ${facts.caliper} with web3 ${facts.web3}.`,
    `Expected hashes a block: ${difficulties.map((name) => `${name} ${EXPECTED_HASHES[name].toLocaleString('en')}`).join(', ')} (proof of work; for Clique the three are repeats).`,
    'All times are milliseconds from sending to confirmation; throughput is confirmed operations a second; conf. is the number of blocks that make an act confirmed.',
    '',
    ...operations.flatMap((operation) => [
      `## ${operation}`,
      '',
      `![${operation}](${operation}.svg)`,
      '',
      ...tableOf(operation, runs),
      '',
    ]),
    ...failuresOf(runs),
  ]
    .join('\n')
    .trimEnd()}\n`;
}

function tableOf(operation: Operation, runs: Run[]): string[] {
  const order = (path: Path) => paths.indexOf(path);
  const own = runs
    .filter((run) => run.operation === operation)
    .sort(
      (a, b) => consensuses.indexOf(a.consensus) - consensuses.indexOf(b.consensus) || order(a.path) - order(b.path),
    );
  return [
    '| consensus | difficulty | miners | path | offered/s | confirmed/s | min | avg | max | p50 | p95 | p99 | conf. | succeeded | failed | success |',
    '|---|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|',
    ...own.map((run) =>
      [
        ...['', run.consensus, run.difficulty, run.miners, run.path, run.offered, figure(run.throughput)],
        ...[run.minMs, run.avgMs, run.maxMs, run.p50Ms, run.p95Ms, run.p99Ms].map(figure),
        ...[run.confirmations, run.succeeded, run.failed, `${run.successRate} %`, ''],
      ]
        .join(' | ')
        .trim(),
    ),
  ];
}

const figure = (value: number | null) =>
  value === null ? '–' : value >= 100 ? String(Math.round(value)) : String(value);

function failuresOf(runs: Run[]): string[] {
  const failed = runs.filter(({ failures }) => Object.keys(failures).length > 0);
  if (failed.length === 0) return ['No operation failed.'];
  return [
    '## What failed',
    '',
    ...failed.map((run) => {
      const why = Object.entries(run.failures).map(([reason, count]) => `${count} × ${reason}`);
      return `- ${run.consensus}, ${run.difficulty}, ${run.miners} miners, ${run.path}, ${run.operation} at ${run.offered}/s: ${why.join('; ')}`;
    }),
  ];
}
