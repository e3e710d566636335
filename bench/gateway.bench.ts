import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { type Bench, tokenOf, withBench } from './hospital.js';
import { type Answer, HttpClient } from './http-client.js';
import { commonUsage, parseOptions } from './options.js';
import { effectsOnChain } from './oracle.js';
import { rawThroughput } from './raw.js';
import { percentile, publish } from './report.js';

const usage = `npm run bench -- gateway [options]

Clients that query records over HTTP with a JWT, each waiting for its confirmation before it asks again. Afterwards, on the same
node, pre-signed transactions of one act each are fired straight at it: the ratio of the two is what batching gains or the gateway costs.

  --clients N    concurrent clients (default 64)
  --seconds N    measured time (default 30), after 5 to warm up
${commonUsage}`;

const WARM_UP_SECONDS = 5;
const RAW_COUNT = 10_000;

interface Load {
  confirmed: number;
  acceptMs: number[];
  confirmMs: number[];
  errors: string[];
  /** request ids of everything that was accepted, and of what an answer called confirmed */
  accepted: Set<string>;
  seenConfirmed: Set<string>;
}

export async function run(args: string[]): Promise<number> {
  const options = parseOptions(args);
  if (options.help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  const figures = await withBench(options, async (bench) => {
    bench.log(`${options.clients} clients for ${WARM_UP_SECONDS} + ${options.seconds} s`);
    const load = await offer(bench, options.clients, options.seconds);
    const effects = await effectsOnChain(bench.hospital);
    const lost = [...load.accepted].filter((id) => !effects.has(id)).length;
    const doubled = [...effects.values()].filter((times) => times > 1).length;
    const untrue = [...load.seenConfirmed].filter((id) => !effects.has(id)).length;
    bench.log(`raw: ${RAW_COUNT} pre-signed transactions at the same node`);
    const rawPerSecond = await rawThroughput(bench, RAW_COUNT);
    const confirmedPerSecond = Math.round(load.confirmed / options.seconds);
    if (load.errors.length > 0) bench.log(`first error: ${load.errors[0]}`);
    return {
      confirmedPerSecond,
      acceptP50Ms: percentile(load.acceptMs, 50),
      acceptP99Ms: percentile(load.acceptMs, 99),
      confirmP50Ms: percentile(load.confirmMs, 50),
      confirmP99Ms: percentile(load.confirmMs, 99),
      rawPerSecond,
      ratioToRaw: Math.round((confirmedPerSecond / rawPerSecond) * 100) / 100,
      lost,
      doubled,
      confirmedButAbsent: untrue,
      errors: load.errors.length,
      acts: load.accepted.size,
      ...{ clients: options.clients, seconds: options.seconds, chain: bench.stack.chainKind },
    };
  });
  publish('queries over HTTP until confirmed, local network', figures, options.json);
  return figures.lost + figures.doubled + figures.confirmedButAbsent + figures.errors === 0 ? 0 : 1;
}

async function offer(bench: Bench, clients: number, seconds: number): Promise<Load> {
  const load: Load = {
    ...{ confirmed: 0, acceptMs: [], confirmMs: [], errors: [] },
    ...{ accepted: new Set<string>(), seenConfirmed: new Set<string>() },
  };
  const http = new HttpClient(bench.hospital.api, clients);
  const authorization = `Bearer ${await tokenOf(bench, 'clinician.a')}`;
  const from = performance.now() + WARM_UP_SECONDS * 1000;
  const until = from + seconds * 1000;
  let lastSecond = 0;

  const client = async (index: number): Promise<void> => {
    for (let turn = 0; performance.now() < until; turn += 1) {
      const record = bench.records[(index + turn) % bench.records.length]!;
      const answer = await http
        .send(
          'POST',
          `/v1/emrs/${record.recordId}/queries`,
          {
            authorization,
            'content-type': 'application/json',
            'idempotency-key': randomUUID(),
            prefer: 'wait=30',
          },
          '{"purpose":"TREAT"}',
        )
        .catch((error: Error) => error);
      const at = performance.now();
      note(load, answer, at >= from && at < until);
      const second = Math.floor((at - from) / 5000);
      if (second > lastSecond) {
        lastSecond = second;
        bench.log(`${load.confirmed} confirmed`);
      }
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, index) => client(index)));
  http.close();
  return load;
}

function note(load: Load, answer: Answer | Error, counted: boolean): void {
  if (answer instanceof Error || (answer.status !== 201 && answer.status !== 202)) {
    load.errors.push(
      answer instanceof Error ? answer.message : `${answer.status} ${answer.body.toString().slice(0, 300)}`,
    );
    return;
  }
  const { requestId } = JSON.parse(answer.body.toString()) as { requestId: string };
  load.accepted.add(requestId);
  if (answer.status === 202) return;
  load.seenConfirmed.add(requestId);
  if (!counted) return;
  load.confirmed += 1;
  load.confirmMs.push(answer.milliseconds);
  const accept = /dur=([\d.]+)/.exec(String(answer.headers['server-timing'] ?? ''))?.[1];
  if (accept) load.acceptMs.push(Number(accept));
}
