import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from '../deploy/local/layout.js';
import { type Cell, consensuses, difficulties, type Matrix, matrixOf, minerCounts } from './matrix.js';

export interface CaliperOptions {
  matrix: Matrix;
  /** those of the matrix that the filters leave */
  cells: Cell[];
  /** go on with what an earlier run of the same matrix left in the state folder */
  resume: boolean;
  json: string | undefined;
  /** what measures the same again */
  command: string;
  /** folder of the report; absolute */
  out: string;
  /** absolute */
  state: string;
  base: number;
}

/** Ports from the base up that are used: a hospital's, and Postgres's. */
export const PORT_RANGE = 31;

/** @throws Error that says what is wrong with the arguments */
export function parseOptions(args: string[]): CaliperOptions {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args,
    strict: true,
    options: {
      ...{ matrix: text, json: text, out: text, state: text, ports: text },
      ...{ consensus: text, difficulty: text, miners: text },
      resume: { type: 'boolean', default: false },
    },
  });
  const name = values.matrix ?? 'quick';
  if (name !== 'quick' && name !== 'full') throw new Error(`--matrix takes quick or full, not ${name}`);
  const base = Number(values.ports ?? 5300);
  if (!Number.isSafeInteger(base) || base < 1024 || base + PORT_RANGE > 65_536) {
    throw new Error(`--ports takes a number from 1024 to ${65_536 - PORT_RANGE}, not ${values.ports}`);
  }
  const chosen = {
    consensus: among('consensus', values.consensus, consensuses),
    difficulty: among('difficulty', values.difficulty, difficulties),
    miners: among('miners', values.miners, minerCounts),
  };
  const matrix = matrixOf(name);
  const cells = matrix.cells.filter(
    (cell) =>
      chosen.consensus.includes(cell.consensus) &&
      chosen.difficulty.includes(cell.difficulty) &&
      chosen.miners.includes(String(cell.miners)),
  );
  if (cells.length === 0) throw new Error(`the ${name} matrix has no network of that kind; leave a filter out`);
  const filters = (['consensus', 'difficulty', 'miners'] as const).flatMap((key) =>
    values[key] === undefined ? [] : [`--${key}`, values[key]],
  );
  const state = values.state ? resolve(values.state) : join(projectRoot, '.emr', 'caliper');
  return {
    ...{ matrix, cells, resume: values.resume, base, state },
    command: ['npm run caliper -- --matrix', name, ...filters].join(' '),
    json: values.json === undefined ? undefined : resolve(values.json),
    out: values.out ? resolve(values.out) : join(state, name, 'report'),
  };
}

function among(name: string, value: string | undefined, allowed: readonly (string | number)[]): string[] {
  const all = allowed.map(String);
  const wanted = value === undefined ? all : value.split(',');
  const unknown = wanted.filter((one) => !all.includes(one));
  if (unknown.length > 0) throw new Error(`--${name} takes ${all.join(', ')}, several with commas, not ${unknown[0]}`);
  return wanted;
}
