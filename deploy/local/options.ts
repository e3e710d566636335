import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { DEFAULT_BASE_PORT, PORT_RANGE, projectRoot } from './layout.js';

export interface StartOptions {
  exit: boolean;
  fresh: boolean;
  demo: boolean;
  help: boolean;
  base: number;
  /** absolute */
  state: string;
}

export const usage = `npm start -- [options]

Starts two hospitals on this machine, each with its gateway, indexer, database, local and global node, and loads sample data.

  --exit         end after the summary: 0 when everything went as it should, else 1 and the reason
  --fresh        start from nothing: the state folder is removed first
  --ports BASE   use the ports from BASE up (default ${DEFAULT_BASE_PORT}); hospital A's API is on BASE, hospital B's on BASE + 10
  --state DIR    keep everything in this folder (default .emr)
  --no-demo      start the hospitals, load nothing
  --help         this text

Environment: GETH_BIN names a geth to use; EMR_CACHE_DIR is where one is built (default ~/.cache/emr-gateway).`;

/** @throws Error that says what is wrong with the arguments */
export function parseOptions(args: string[]): StartOptions {
  const { values } = parseArgs({
    args,
    strict: true,
    options: {
      exit: { type: 'boolean', default: false },
      fresh: { type: 'boolean', default: false },
      'no-demo': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
      ports: { type: 'string' },
      state: { type: 'string' },
    },
  });
  const base = values.ports === undefined ? DEFAULT_BASE_PORT : Number(values.ports);
  if (!Number.isSafeInteger(base) || base < 1024 || base + PORT_RANGE > 65_536) {
    throw new Error(`--ports takes a number from 1024 to ${65_536 - PORT_RANGE}, not ${values.ports}`);
  }
  return {
    exit: values.exit,
    fresh: values.fresh,
    demo: !values['no-demo'],
    help: values.help,
    base,
    state: values.state ? resolve(values.state) : resolve(projectRoot, '.emr'),
  };
}
