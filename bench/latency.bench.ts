import { randomUUID } from 'node:crypto';
import { tokenOf, withBench } from './hospital.js';
import { HttpClient } from './http-client.js';
import { commonUsage, parseOptions } from './options.js';
import { nodeLatencies } from './raw.js';
import { percentile, publish } from './report.js';

const usage = `npm run bench -- latency [options]

One clinician at a time: from the HTTP request for a look at a local record to the decrypted content in hand, and beside it the
node's own time from a sent transaction to its receipt.

  --count N      measured queries (default 500), after 50 to warm up
${commonUsage}`;

const WARM_UP = 50;

export async function run(args: string[]): Promise<number> {
  const options = parseOptions(args);
  if (options.help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  const figures = await withBench(options, async (bench) => {
    const http = new HttpClient(bench.hospital.api, 1);
    const authorization = `Bearer ${await tokenOf(bench, 'clinician.a')}`;
    const times: number[] = [];
    bench.log(`${options.count} queries, one after the other`);
    for (let index = -WARM_UP; index < options.count; index += 1) {
      const record = bench.records[(index + WARM_UP) % bench.records.length]!;
      const answer = await http.send(
        'POST',
        `/v1/emrs/${record.recordId}/queries`,
        {
          authorization,
          'content-type': 'application/json',
          'idempotency-key': randomUUID(),
          prefer: 'wait=5, return=representation',
        },
        '{"purpose":"TREAT"}',
      );
      if (answer.status !== 201 || !answer.body.equals(record.bytes)) {
        throw new Error(`query ${index}: ${answer.status} ${answer.body.subarray(0, 300).toString()}`);
      }
      if (index >= 0) times.push(answer.milliseconds);
    }
    http.close();
    bench.log('the node alone');
    const node = await nodeLatencies(bench, Math.min(options.count, 300));
    return {
      p50Ms: percentile(times, 50),
      p95Ms: percentile(times, 95),
      p99Ms: percentile(times, 99),
      maxMs: percentile(times, 100),
      nodeP50Ms: percentile(node, 50),
      nodeP95Ms: percentile(node, 95),
      count: times.length,
      chain: bench.stack.chainKind,
    };
  });
  publish('query to decrypted content, one user, local network', figures, options.json);
  return 0;
}
