import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from '../../deploy/local/layout.js';

export interface IndexerBenchOptions {
  help: boolean;
  json?: string;
  state: string;
  /** of the bench's own Postgres */
  port: number;
  /** Blocks and events a block of the chain the bench makes; one transaction, hence one receipt, an event. */
  blocks: number;
  events: number;
  /** How often each backfill is run; the median counts. */
  repeat: number;
  /** Rows of the table that the patient page is read from. */
  rows: number;
  /** Somebody else's chain to backfill from, in place of the bench's own. */
  node?: { rpc: string; contract: string; start: bigint; to?: bigint };
}

export const usage = `npm run bench -- indexer [options]

Backfill from a node into a fresh mirror: a bare loop (eth_getLogs, headers, COPY, no checks) and the indexer, on the same node and
the same Postgres, in turns, medians of the turns. Then restart, live commits, a 40-deep reorganisation with readers, and the page of a
patient's events in a large table. The ledger's chain is made by the bench (kept in the state folder and used again), or is yours:

  --blocks N         blocks of the bench's own chain (default 2000)
  --events N         events a block, each in a transaction of its own (default 10)
  --rpc URL          your node: path of its IPC socket, http(s):// or ws(s)://, with --contract
  --contract 0x…     address of EmrLedger on it
  --start N          its first block to index (default 0)
  --to N             the last one (default: the node's head when the bench starts)
  --repeat N         turns of each backfill (default 3)
  --rows N           rows for the patient page (default 200000; 0: leave it out)
  --json FILE        write the figures as JSON too
  --state DIR        state folder (default .emr/bench-indexer)
  --port N           port of the bench's Postgres (default 4390)
  --help             this text

The indexer itself is pointed at any node by NETWORKS_FILE (README.md).`;

/** @throws Error that says what is wrong with the arguments */
export function parseIndexerOptions(args: string[]): IndexerBenchOptions {
  const text = { type: 'string' } as const;
  const names = [
    'json',
    'state',
    'port',
    'blocks',
    'events',
    'repeat',
    'rows',
    'rpc',
    'contract',
    'start',
    'to',
  ] as const;
  const { values } = parseArgs({
    args,
    strict: true,
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      ...(Object.fromEntries(names.map((name) => [name, text])) as Record<(typeof names)[number], typeof text>),
    },
  });
  const whole = (name: (typeof names)[number], fallback: number, least = 1): number => {
    const number = values[name] === undefined ? fallback : Number(values[name]);
    if (!Number.isSafeInteger(number) || number < least)
      throw new Error(`--${name} takes a whole number from ${least}`);
    return number;
  };
  if ((values.rpc === undefined) !== (values.contract === undefined))
    throw new Error('--rpc and --contract go together');
  if (values.rpc === undefined && (values.start ?? values.to) !== undefined)
    throw new Error('--start and --to need --rpc');
  if (values.contract !== undefined && !/^0x[0-9a-f]{40}$/i.test(values.contract)) {
    throw new Error('--contract takes an address: 0x and 40 hex digits');
  }
  const node =
    values.rpc === undefined
      ? undefined
      : {
          rpc: values.rpc,
          contract: (values.contract as string).toLowerCase(),
          start: BigInt(whole('start', 0, 0)),
          ...(values.to === undefined ? {} : { to: BigInt(whole('to', 0, 0)) }),
        };
  return {
    help: values.help,
    json: values.json,
    state: values.state ? resolve(values.state) : join(projectRoot, '.emr', 'bench-indexer'),
    port: whole('port', 4390),
    blocks: whole('blocks', 2_000),
    events: whole('events', 10),
    repeat: whole('repeat', 3),
    rows: whole('rows', 200_000, 0),
    node,
  };
}
