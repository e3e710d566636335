import { type Bench, withBench } from './hospital.js';
import { type Load, type LoadPlan, offerQueries } from './load.js';
import { commonUsage, parseOptions } from './options.js';
import { effectsOnChain } from './oracle.js';
import { stageTable, type UsageByPart, usageOf, usedBetween } from './processes.js';
import { rawThroughput } from './raw.js';
import { percentile, publish } from './report.js';

const usage = `npm run bench -- gateway [options]

Clients that query records over HTTP with a JWT, each waiting for its confirmation before it asks again; then half of that rate,
evenly spread. Afterwards, on the same node, pre-signed transactions of one act each are fired straight at it: the ratio of the two
is what batching gains or the gateway costs. CPU and memory are shown by process.

  --clients N    concurrent clients (default 64)
  --replicas N   gateways, each with its worker, on the one database (default 1)
  --rate N       an open loop instead: N requests a second, evenly spread, whatever becomes of them
  --seconds N    measured time (default 30), after 5 to warm up
${commonUsage}`;

const WARM_UP_MS = 5_000;
const HALF_LOAD_MS = 15_000;
const RAW_COUNT = 10_000;
/** An open loop needs as many connections as requests are on their way. */
const MOST_CONNECTIONS = 6_000;

export async function run(args: string[]): Promise<number> {
  const options = parseOptions(args);
  if (options.help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  const figures = await withBench(options, async (bench) => {
    const durationMs = options.seconds * 1000;
    const plan: LoadPlan =
      options.rate === undefined
        ? { clients: options.clients, durationMs, warmUpMs: WARM_UP_MS }
        : { clients: MOST_CONNECTIONS, durationMs, warmUpMs: WARM_UP_MS, rate: options.rate };
    const offered = options.rate === undefined ? `${options.clients} clients` : `${options.rate} requests a second`;
    bench.log(`${offered} for ${WARM_UP_MS / 1000} + ${options.seconds} s`);
    const full = await measured(bench, (onProgress) => offerQueries(bench, { ...plan, onProgress }));
    const confirmedPerSecond = Math.round(full.load.confirmed / options.seconds);
    const rate = Math.max(1, Math.round(confirmedPerSecond / 2));
    bench.log(`half of that, ${rate} a second, for ${HALF_LOAD_MS / 1000} s`);
    const half = await offerQueries(bench, {
      ...{ clients: MOST_CONNECTIONS, rate, durationMs: HALF_LOAD_MS, warmUpMs: 1_000 },
    });
    const loads = [full.load, half];
    const effects = await effectsOnChain(bench.hospital);
    const accepted = loads.flatMap((load) => [...load.accepted]);
    const confirmed = loads.flatMap((load) => [...load.seenConfirmed]);
    const errors = loads.flatMap((load) => load.errors);
    if (errors.length > 0) bench.log(`first error: ${errors[0]}`);
    bench.log(`raw: ${RAW_COUNT} pre-signed transactions at the same node`);
    const rawPerSecond = await rawThroughput(bench, RAW_COUNT);
    return {
      confirmedPerSecond,
      acceptP50Ms: percentile(full.load.acceptMs, 50),
      acceptP99Ms: percentile(full.load.acceptMs, 99),
      confirmP50Ms: percentile(full.load.confirmMs, 50),
      confirmP95Ms: percentile(full.load.confirmMs, 95),
      confirmP99Ms: percentile(full.load.confirmMs, 99),
      p50AtHalfLoadMs: percentile(half.confirmMs, 50),
      p99AtHalfLoadMs: percentile(half.confirmMs, 99),
      acceptP99AtHalfLoadMs: percentile(half.acceptMs, 99),
      halfLoadPerSecond: Math.round(half.confirmed / (HALF_LOAD_MS / 1000)),
      ...full.batches,
      rawPerSecond,
      ratioToRaw: Math.round((confirmedPerSecond / rawPerSecond) * 100) / 100,
      lost: accepted.filter((id) => !effects.has(id)).length,
      doubled: [...effects.values()].filter((times) => times > 1).length,
      confirmedButAbsent: confirmed.filter((id) => !effects.has(id)).length,
      errors: errors.length,
      refused: full.load.refused + half.refused,
      acts: accepted.length,
      ...{
        clients: options.clients,
        replicas: options.replicas,
        seconds: options.seconds,
        chain: bench.stack.chainKind,
      },
      ...(full.used === undefined
        ? {}
        : { cpuMicrosPerAct: stageTable(full.used, full.load.accepted.size), ...byProcess(full.used) }),
    };
  });
  publish('queries over HTTP until confirmed, local network', figures, options.json);
  return figures.lost + figures.doubled + figures.confirmedButAbsent + figures.errors === 0 ? 0 : 1;
}

interface Measured {
  load: Load;
  used: UsageByPart | undefined;
  batches: { batchP50: number; transactions: number };
}

/** A load with what the processes spent on it, and how its acts were packed. */
async function measured(bench: Bench, offer: (onProgress: (load: Load) => void) => Promise<Load>): Promise<Measured> {
  const before = await usageOf(bench);
  const since = await lastTransaction(bench);
  const load = await offer(({ confirmed }) => bench.log(`${confirmed} confirmed`));
  const after = await usageOf(bench);
  const sizes = await batchSizes(bench, since);
  return {
    load,
    used: before && after && usedBetween(before, after),
    batches: { batchP50: percentile(sizes, 50), transactions: sizes.length },
  };
}

async function lastTransaction({ owner }: Bench): Promise<string> {
  const { rows } = await owner.query<{ id: string }>('SELECT coalesce(max(id), 0) AS id FROM gateway.transaction');
  return rows[0]!.id;
}

async function batchSizes({ owner }: Bench, since: string): Promise<number[]> {
  const { rows } = await owner.query<{ acts: number }>(
    `SELECT count(*)::int AS acts FROM gateway.transaction_operation WHERE transaction_id > $1 GROUP BY transaction_id`,
    [since],
  );
  return rows.map(({ acts }) => acts);
}

function byProcess(used: UsageByPart) {
  const of = (key: 'cpuSeconds' | 'rssMb') =>
    Object.fromEntries(Object.entries(used).map(([part, usage]) => [part, usage[key]]));
  return { cpuSeconds: of('cpuSeconds'), rssMb: of('rssMb') };
}
