import { Redis } from 'ioredis';
import { createHospitalDatabase } from '../../deploy/local/postgres.js';
import { migrate } from '../../libs/database/src/migrate.js';
import { forgetOperations, openAll, repeatAll } from '../client/load.js';
import { type Run, type Scenario, until } from '../run.js';
import { asSuperuser, databaseFrom, dropDatabase, superuserUrl } from '../stack/database.js';
import { CANARY, introduceUsers, templateKeys } from '../stack/template.js';

const SNAPSHOT = 'snapshot';

export const stores: Scenario[] = [
  {
    name: 'redis',
    about: 'Redis emptied, killed and stopped under load',
    rows: [11],
    queue: 'redis',
    async inject(run: Run) {
      const { redis } = run.stack;
      if (!redis) throw new Error('this run has no Redis');
      for (let round = 0; round < 8; round += 1) {
        await run.rest(200, 1_200);
        const way = run.dice.below(4);
        if (way < 2) {
          run.fault('FLUSHALL');
          await withRedis(redis.url, (client) => client.flushall());
        } else if (way === 2) {
          run.fault('kill Redis');
          await redis.kill();
          await run.rest(0, 800);
          await redis.start();
        } else {
          run.fault('stop Redis');
          process.kill(redis.pid(), 'SIGSTOP');
          await run.rest(300, 1_500);
          process.kill(redis.pid(), 'SIGCONT');
        }
      }
    },
  },
  {
    name: 'postgres',
    about: 'Postgres killed, refusing connections, its disk full for some tables',
    rows: [12],
    seconds: 10,
    async inject(run: Run) {
      for (let round = 0; round < 7; round += 1) {
        await run.rest(400, 1_200);
        await run.dice.of([killPostgres, refuseConnections, fullDisk])(run);
      }
    },
  },
  {
    name: 'restore',
    about:
      'the database put back to an earlier point, with the gateways stopped; then clients ask again with their keys',
    rows: [13],
    seconds: 6,
    allow: { restored: true },
    async inject(run: Run) {
      await run.rest(1_000, 3_000);
      await takeSnapshot(run);
    },
    async afterwards(run: Run) {
      const { postgres, hospital } = run.stack;
      for (let round = 0; round < 2; round += 1) {
        run.fault('database put back to an earlier point');
        await run.stack.restartPrograms(async () => {
          await databaseFrom(postgres, SNAPSHOT, hospital.layout.database);
        });
        await asksAgain(run);
      }
      await dropDatabase(postgres, SNAPSHOT);
      await sameContent(run, [...run.load.opened]);
    },
  },
  {
    name: 'database-loss',
    about:
      'the whole database lost and made anew; the mirror follows from the chain, and clients ask again with their keys',
    rows: [13],
    seconds: 2,
    allow: { restored: true },
    async afterwards(run: Run) {
      const { postgres, hospital, layout } = run.stack;
      for (let round = 0; round < 2; round += 1) {
        run.fault('database lost, made anew');
        await run.stack.restartPrograms(async () => {
          await dropDatabase(postgres, hospital.layout.database);
          const { ownerUrl } = await createHospitalDatabase(postgres, hospital.layout.database);
          await migrate(ownerUrl, () => undefined);
        });
        await introduceUsers(layout);
        run.forgetTokens();
        const known = await openAll(templateKeys, { user: run.user, canary: CANARY });
        run.findings.push(...known.wrong.map((text) => ({ kind: 'taken-back' as const, text })));
        await asksAgain(run);
        await sameContent(run, [...run.load.opened, ...known.opened]);
      }
    },
  },
];

/** All acts once more under their keys, whatever was told of them before. */
async function asksAgain(run: Run): Promise<void> {
  forgetOperations(run.load);
  // A repeat is found on the ledger by looking again once a second: many ask at the same time.
  await repeatAll(run.load, { ...run.loadOptions, clients: 32, stop: new AbortController().signal });
  await run.drain();
}

/** What is stored again is what the ledger has the hash of, and a look gives back the same bytes. */
async function sameContent(run: Run, opened: [string, Buffer][]): Promise<void> {
  const rows = await run.sql<{ record_id: Buffer }>(
    `SELECT r.record_id FROM mirror.record r WHERE NOT EXISTS (
       SELECT FROM gateway.record_content c WHERE c.record_id = r.record_id AND c.content_hash = r.content_hash)`,
  );
  for (const { record_id: id } of rows)
    run.findings.push({ kind: 'lost', text: `record 0x${id.toString('hex')} has no content with the ledger's hash` });
  for (const [recordId, bytes] of opened) {
    const answer = await run.user('clinician.a').look(recordId);
    if (answer.status !== 201 || !answer.bytes.equals(bytes))
      run.findings.push({ kind: 'lost', text: `a look at ${recordId} answers ${answer.status}, not its content` });
  }
}

async function killPostgres(run: Run): Promise<void> {
  run.fault('kill Postgres');
  await run.stack.postgres.kill();
  await until(async () => (await run.sql('SELECT 1')).length === 1, 20_000);
}

async function refuseConnections(run: Run): Promise<void> {
  const { postgres, hospital } = run.stack;
  const name = hospital.layout.database;
  run.fault('Postgres refuses connections');
  await asSuperuser(postgres.url, [
    `ALTER DATABASE ${name} CONNECTION LIMIT 0`,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`,
  ]);
  await run.rest(300, 1_800);
  await asSuperuser(postgres.url, [`ALTER DATABASE ${name} CONNECTION LIMIT -1`]);
}

/** Postgres itself goes down when its log's disk is full; what a full disk of tables looks like to a program is this error. */
async function fullDisk(run: Run): Promise<void> {
  const { postgres, hospital } = run.stack;
  const url = superuserUrl(postgres, hospital.layout.database);
  const table = run.dice.of(['gateway.operation', 'gateway.attempt', 'mirror.block']);
  run.fault(`no space for ${table}`);
  await asSuperuser(url, [
    'CREATE SCHEMA IF NOT EXISTS chaos',
    'GRANT USAGE ON SCHEMA chaos TO PUBLIC',
    `CREATE OR REPLACE FUNCTION chaos.no_space() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$`,
    `CREATE TRIGGER no_space BEFORE INSERT ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION chaos.no_space()`,
  ]);
  await run.rest(300, 1_500);
  await asSuperuser(url, [`DROP TRIGGER no_space ON ${table}`]);
}

/** A copy of the database as it stands at one moment: everybody is thrown out for it, as nobody may be connected meanwhile. */
async function takeSnapshot(run: Run): Promise<void> {
  const { postgres, hospital } = run.stack;
  const name = hospital.layout.database;
  await asSuperuser(postgres.url, [
    `DROP DATABASE IF EXISTS ${SNAPSHOT} WITH (FORCE)`,
    `ALTER DATABASE ${name} CONNECTION LIMIT 0`,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`,
    'SELECT pg_sleep(0.2)',
    `CREATE DATABASE ${SNAPSHOT} TEMPLATE ${name} STRATEGY file_copy`,
    `ALTER DATABASE ${name} CONNECTION LIMIT -1`,
  ]);
}

async function withRedis(url: string, work: (client: Redis) => Promise<unknown>): Promise<void> {
  const client = new Redis(url, { maxRetriesPerRequest: 20, retryStrategy: () => 50 });
  client.on('error', () => undefined);
  await work(client).finally(() => client.disconnect());
}

/** A ring that is being answered is given out again, as BullMQ does with jobs whose worker went silent. */
export const rerun: Scenario = {
  name: 'rerun',
  about: 'rings that are being answered are handed out a second time, as BullMQ does when a worker went silent',
  rows: [21],
  queue: 'redis',
  seconds: 12,
  clients: 4,
  async inject(run: Run) {
    const { redis } = run.stack;
    if (!redis) throw new Error('this run has no Redis');
    const client = new Redis(redis.url);
    client.on('error', () => undefined);
    const queue = `emr:submission-${run.stack.hospital.layout.id}`;
    try {
      for (const deadline = Date.now() + 12_000; Date.now() < deadline; ) {
        for (const job of await client.lrange(`${queue}:active`, 0, -1)) {
          // What its stalled-job check does: no lock, back to those that wait, and the marker that wakes a worker.
          await client.del(`${queue}:${job}:lock`);
          if ((await client.lrem(`${queue}:active`, 1, job)) === 0) continue;
          await client.rpush(`${queue}:wait`, job);
          await client.zadd(`${queue}:marker`, 0, '0');
          run.fault('a ring in work handed out again');
          await run.rest(300, 600);
        }
        await run.rest(5, 10);
      }
    } finally {
      client.disconnect();
    }
  },
};
