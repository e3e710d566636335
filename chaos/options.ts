import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from '../deploy/local/layout.js';
import { scenarios } from './scenarios/index.js';
import { DEFAULT_BASE_PORT } from './stack/layout.js';

export interface ChaosOptions {
  help: boolean;
  runs: number;
  seed: number;
  only: string[];
  json: string | undefined;
  history: string | undefined;
  state: string;
  base: number;
  /** no further run is begun after so many seconds */
  seconds: number;
  fresh: boolean;
}

export const usage = (): string => `npm run chaos -- [options]
  --runs N        how many runs (default: one of each scenario)
  --seed S        seed of the first run; each further run has the next one (default 1)
  --only NAME     only this scenario; several with commas between
  --seconds N     begin no further run after so many seconds
  --json FILE     write the report as JSON too
  --history FILE  write what the oracle was given in the last run: chaos/oracle/history.jsonl is one
  --state DIR     state folder (default .emr/chaos); a run that went wrong leaves its own in DIR/kept
  --ports BASE    ports from BASE up (default ${DEFAULT_BASE_PORT})
  --fresh         prepare everything anew
A run that went wrong is repeated by its own seed: --seed S --only NAME --runs 1 makes the same decisions.
Ends with 0 when nothing was lost, doubled, stuck or taken back.

Scenarios, with the rows of the failure matrix that they are for:
${scenarios.map(({ name, about, rows }) => `  ${name.padEnd(16)}${about} [${rows.join(', ')}]`).join('\n')}`;

/** @throws Error that says what is wrong with the arguments */
export function parseOptions(args: string[]): ChaosOptions {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const { values } = parseArgs({
    args,
    strict: true,
    options: {
      ...{ help: { ...flag, short: 'h' }, fresh: flag },
      ...{ history: text, runs: text, seed: text, only: text, json: text, state: text, ports: text, seconds: text },
    },
  });
  const whole = (name: string, value: string | undefined, fallback: number): number => {
    const number = value === undefined ? fallback : Number(value);
    if (!Number.isSafeInteger(number) || number < 1) throw new Error(`--${name} takes a whole number above 0`);
    return number;
  };
  const only = values.only?.split(',').filter(Boolean) ?? [];
  const unknown = only.filter((name) => !scenarios.some((scenario) => scenario.name === name));
  if (unknown.length > 0)
    throw new Error(`There is no scenario ${unknown.join(', ')}: ${scenarios.map(({ name }) => name).join(', ')}`);
  return {
    ...{ help: values.help, only, json: values.json, history: values.history, fresh: values.fresh },
    runs: whole('runs', values.runs, only.length || scenarios.length),
    seed: whole('seed', values.seed, 1),
    state: values.state ? resolve(values.state) : join(projectRoot, '.emr', 'chaos'),
    base: whole('ports', values.ports, DEFAULT_BASE_PORT),
    seconds: whole('seconds', values.seconds, 86_400),
  };
}
