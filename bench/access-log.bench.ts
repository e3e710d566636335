import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import pg from 'pg';
import { createHospitalDatabase, startPostgres } from '../deploy/local/postgres.js';
import { migrate } from '../libs/database/src/migrate.js';
import { commonUsage, parseOptions } from './options.js';
import { publish } from './report.js';

const usage = `npm run bench -- access-log [options]

What an entry of the access log costs Postgres: written, 50 a statement on two connections, as releases of content are; linked; and written to a
table as it was before there was a chain.

  --count N      entries in thousands (default 500)
${commonUsage}`;

const PER_STATEMENT = 50;
const RECORDS = 2_000;
const STAFF = 300;
const INSERT = (table: string) => `INSERT INTO ${table} (principal, actor, kind, record_id, request_id, detail)
  SELECT p, a, 'release', r, q, jsonb_build_object('version', 1, 'sequence', 812, 'network', 'local')
  FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[]) AS u(p, a, r, q)`;

interface Cost {
  /** In all, while nothing else runs. */
  perSecond: number;
  /** CPU of the backends that did it, microseconds an entry. */
  cpuMicros: number;
}

/** A connection, and what its backend has used so far. */
class Backend {
  private constructor(
    readonly client: pg.Client,
    private readonly pid: number,
  ) {}

  static async open(connectionString: string): Promise<Backend> {
    const client = new pg.Client({ connectionString });
    await client.connect();
    const { rows } = await client.query('SELECT pg_backend_pid() AS pid');
    return new Backend(client, rows[0].pid);
  }

  /** proc(5): user and system time in hundredths of a second. */
  cpuSeconds(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(') ').pop()!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }
}

export async function run(args: string[]): Promise<number> {
  const options = parseOptions(args);
  if (options.help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  const entries = options.count * 1000;
  rmSync(options.state, { recursive: true, force: true });
  const server = await startPostgres({ dir: options.state, port: options.base });
  const opened: Backend[] = [];
  const open = async (url: string) => {
    const backend = await Backend.open(url);
    opened.push(backend);
    return backend;
  };
  try {
    const urls = await createHospitalDatabase(server, 'bench');
    await migrate(urls.ownerUrl);
    const owner = await open(urls.ownerUrl);
    await owner.client.query(`CREATE TABLE gateway.unchained (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(),
      principal bytea NOT NULL, actor bytea, kind text NOT NULL, record_id bytea, request_id bytea, detail jsonb NOT NULL DEFAULT '{}');
      CREATE INDEX ON gateway.unchained (record_id, id); GRANT INSERT ON gateway.unchained TO emr_gateway`);
    const writers = [await open(urls.gatewayUrl), await open(urls.gatewayUrl)];
    const unchained = await write(writers, 'gateway.unchained', entries);
    const chained = await write(writers, 'gateway.access_log', entries);
    const linker = await open(urls.gatewayUrl);
    const linked = await measure([linker], entries, async () => {
      for (let left = entries; left > 0; ) {
        const { rows } = await linker.client.query('SELECT gateway.link_access_log(2000) AS linked');
        left -= rows[0].linked ?? 0;
      }
    });
    const { rows } = await owner.client.query(
      `SELECT pg_total_relation_size('gateway.unchained') AS before, pg_total_relation_size('gateway.access_log') AS entries,
         pg_total_relation_size('gateway.access_log_link') AS links`,
    );
    const bytes = (name: string) => Math.round(Number(rows[0][name]) / entries);
    publish(
      'an entry of the access log',
      {
        entries,
        writtenPerSecond: chained.perSecond,
        writtenCpuMicros: chained.cpuMicros,
        unchainedPerSecond: unchained.perSecond,
        unchainedCpuMicros: unchained.cpuMicros,
        linkedPerSecond: linked.perSecond,
        linkedCpuMicros: linked.cpuMicros,
        bytes: bytes('entries'),
        unchainedBytes: bytes('before'),
        linkBytes: bytes('links'),
      },
      options.json,
    );
  } finally {
    for (const { client } of opened) await client.end();
    await server.stop();
  }
  return 0;
}

/** Writes so many entries, each connection its half, one statement after the other. */
function write(writers: Backend[], table: string, entries: number): Promise<Cost> {
  const some = (count: number, length: number) => Array.from({ length: count }, () => randomBytes(length));
  const [records, actors, principals] = [some(RECORDS, 32), some(STAFF, 20), some(STAFF, 32)];
  const statements = entries / PER_STATEMENT / writers.length;
  return measure(writers, entries, () =>
    Promise.all(
      writers.map(async ({ client }) => {
        for (let statement = 0; statement < statements; statement++) {
          const batch = Array.from({ length: PER_STATEMENT }, () => Math.floor(Math.random() * RECORDS));
          await client.query({ name: table, text: INSERT(table) }, [
            batch.map((n) => principals[n % STAFF]),
            batch.map((n) => actors[n % STAFF]),
            batch.map((n) => records[n]),
            batch.map(() => randomBytes(32)),
          ] as unknown[]);
        }
      }),
    ),
  );
}

async function measure(backends: Backend[], entries: number, work: () => Promise<unknown>): Promise<Cost> {
  const cpu = () => backends.reduce((sum, backend) => sum + backend.cpuSeconds(), 0);
  const [cpuBefore, begun] = [cpu(), performance.now()];
  await work();
  return {
    perSecond: Math.round((entries / (performance.now() - begun)) * 1000),
    cpuMicros: Math.round(((cpu() - cpuBefore) / entries) * 1e7) / 10,
  };
}
