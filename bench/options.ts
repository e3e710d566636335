import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from '../deploy/local/layout.js';

export interface BenchOptions {
  help: boolean;
  json?: string;
  state: string;
  base: number;
  seconds: number;
  clients: number;
  count: number;
  /** Requests a second, evenly spread, whatever becomes of them; undefined: as many as the clients get answered. */
  rate?: number;
  /** gateways on the one database, each with its worker */
  replicas: number;
}

export const commonUsage = `  --json FILE    write the figures as JSON too
  --state DIR    state folder (default .emr/bench); it is emptied first
  --ports BASE   ports from BASE up (default 4300)
  --help         this text`;

/** @throws Error that says what is wrong with the arguments */
export function parseOptions(args: string[]): BenchOptions {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args,
    strict: true,
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      ...{
        json: text,
        state: text,
        ports: text,
        seconds: text,
        clients: text,
        count: text,
        rate: text,
        replicas: text,
      },
    },
  });
  const whole = (name: string, value: string | undefined, fallback: number): number => {
    const number = value === undefined ? fallback : Number(value);
    if (!Number.isSafeInteger(number) || number < 1) throw new Error(`--${name} takes a whole number above 0`);
    return number;
  };
  return {
    help: values.help,
    json: values.json,
    state: values.state ? resolve(values.state) : join(projectRoot, '.emr', 'bench'),
    base: whole('ports', values.ports, 4300),
    seconds: whole('seconds', values.seconds, 30),
    clients: whole('clients', values.clients, 64),
    count: whole('count', values.count, 500),
    replicas: whole('replicas', values.replicas, 1),
    ...(values.rate === undefined ? {} : { rate: whole('rate', values.rate, 1) }),
  };
}
