import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import { projectRoot } from '../deploy/local/layout.js';
import { createHospitalDatabase, removePostgres, startPostgres } from '../deploy/local/postgres.js';
import { lockState } from '../deploy/local/state-lock.js';
import { createDataSource } from '../libs/database/src/data-source.js';
import { migrate } from '../libs/database/src/migrate.js';
import { fillMirror } from './audit/mirror.js';
import { explain, recording, type Sent } from './audit/plans.js';
import { type AuditQuery, auditQueries, rowsAllowed } from './audit/queries.js';
import { insertCost } from './audit/writes.js';
import { percentile, publish } from './report.js';

const usage = `npm run bench -- audit [options]

Every query the audit API can make, on a mirror of so many events: how long each takes at the store, and by its plan how many rows it reads.

  --rows N       events in the mirror (default 1000000)
  --reads N      measured reads of each query (default 100)
  --only TEXT    only queries whose name contains it, such as device=
  --keep         keep the filled database for the next run with as many rows
  --json FILE    write the figures as JSON too
  --state DIR    state folder (default .emr/bench-audit)
  --port N       port for its Postgres (default 4390)
  --help         this text`;

const WARM_UP = 5;
/** A query that takes long is read less often: until so much time is spent, and at least so many times. */
const LONGEST_MS = 3_000;
const FEWEST_READS = 5;
/** Queries that look at everything are read so often. */
const WHOLE_READS = 3;

export async function run(args: string[]): Promise<number> {
  const options = parseOptions(args);
  if (options.help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  const began = performance.now();
  const log = (message: string) =>
    process.stdout.write(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s  ${message}\n`);
  const release = lockState(options.state);
  const server = await startPostgres({ dir: join(options.state, 'postgres'), port: options.port });
  try {
    const { gatewayUrl, ownerUrl } = await filled(server, options.rows, log);
    const dataSource = createDataSource({ url: gatewayUrl, applicationName: 'emr-bench-audit', poolSize: 1 });
    await dataSource.initialize();
    const figures: Record<string, unknown> = { rows: options.rows };
    const findings: string[] = [];
    try {
      for (const query of auditQueries(options.rows).filter(({ name }) => name.includes(options.only))) {
        const { figure, finding } = await measure(dataSource, query, options.reads);
        figures[query.name] = figure;
        if (finding) findings.push(finding);
      }
    } finally {
      await dataSource.destroy();
    }
    const queries = Object.keys(figures).length - 1;
    Object.assign(figures, await insertCost(ownerUrl));
    publish('the audit API’s queries', figures, options.json);
    for (const finding of findings) process.stdout.write(`  ! ${finding}\n`);
    process.stdout.write(`${queries} queries, ${findings.length} read more than they should\n`);
    return findings.length > 0 ? 1 : 0;
  } finally {
    await server.stop();
    if (!options.keep) await removePostgres(join(options.state, 'postgres'));
    release();
  }
}

function parseOptions(args: string[]) {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args,
    options: {
      ...{ rows: text, reads: text, only: text, json: text, state: text, port: text },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const whole = (name: 'rows' | 'reads' | 'port', fallback: number) => {
    const number = Number(values[name] ?? fallback);
    if (!Number.isSafeInteger(number) || number < 1) throw new Error(`--${name} takes a whole number above 0`);
    return number;
  };
  return {
    ...{ rows: whole('rows', 1_000_000), reads: whole('reads', 100), port: whole('port', 4390) },
    ...{ only: values.only ?? '', keep: values.keep, help: values.help, json: values.json },
    state: values.state ?? join(projectRoot, '.emr', 'bench-audit'),
  };
}

/** The database with so many events, filled now or by an earlier run that kept it. */
async function filled(server: { url: string; dir: string }, rows: number, log: (message: string) => void) {
  const name = `audit_${rows}`;
  const made = existsSync(join(server.dir, 'credentials', `${name}.json`));
  const urls = await createHospitalDatabase(server, name);
  await migrate(urls.ownerUrl);
  const owner = new pg.Client({ connectionString: urls.ownerUrl });
  await owner.connect();
  try {
    const { rows: cursors } = await owner.query('SELECT count(*)::int AS n FROM mirror.cursor');
    if (cursors[0].n > 0) log(`${rows} events of an earlier run`);
    else {
      if (made) await owner.query('TRUNCATE mirror.emr_event, mirror.block, gateway.patient CASCADE'); // an earlier run was ended here
      await fillMirror(urls.ownerUrl, rows, log);
    }
    const [size] = (
      await owner.query<{ table: string; indexes: string }>(
        `SELECT pg_size_pretty(pg_table_size('mirror.emr_event')) AS table, pg_size_pretty(pg_indexes_size('mirror.emr_event')) AS indexes`,
      )
    ).rows;
    log(`emr_event: ${size?.table}, its indexes ${size?.indexes}`);
  } finally {
    await owner.end();
  }
  return urls;
}

async function measure(dataSource: DataSource, query: AuditQuery, reads: number) {
  const times: number[] = [];
  const [warmUp, measured] = query.bound === 'whole' ? [0, WHOLE_READS] : [WARM_UP, reads];
  for (let read = -warmUp; read < measured; read++) {
    const began = performance.now();
    await query.ask(dataSource);
    if (read >= 0) times.push(performance.now() - began);
    if (times.length >= FEWEST_READS && sum(times) > LONGEST_MS) break;
  }
  const sent: Sent[] = [];
  await query.ask(recording(dataSource, sent));
  let rowsRead = 0;
  const seqScans = new Set<string>();
  for (const statement of new Map(sent.map((one) => [one.sql, one])).values()) {
    const plan = await explain(dataSource, statement);
    rowsRead = Math.max(rowsRead, plan.rowsRead);
    for (const table of plan.seqScans) seqScans.add(table);
  }
  const allowed = await rowsAllowed(dataSource, query);
  const finding = seqScans.has('emr_event')
    ? `${query.name}: reads all of emr_event`
    : rowsRead > allowed
      ? `${query.name}: ${rowsRead} rows, ${allowed} allowed`
      : undefined;
  const figure = { p50Ms: percentile(times, 50), p99Ms: percentile(times, 99), reads: times.length, rowsRead };
  return { figure, finding };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
