import { spawnSync } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { projectRoot } from '../deploy/local/layout.js';
import { eventTopics } from '../libs/contracts/src/event.codec.js';
import { type Bench, tokenOf, withBench } from './hospital.js';
import { commonUsage, parseOptions } from './options.js';
import { publish } from './report.js';

const usage = `npm run bench -- export --count N [options]

An export of N events (NDJSON, whole) over HTTP to a file, by a reader that takes nothing for its first five seconds; the gateway's memory before, during
and at its highest; then emr-verify over the file. Rows are made in the mirror by SQL, consistent enough for emr-verify.

  --count N      events (default 500; 1000000 says something)
${commonUsage}`;

const IDLE_MS = 5_000;

export async function run(args: string[]): Promise<number> {
  const options = parseOptions(args);
  if (options.help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  const figures = await withBench(options, async (bench) => {
    const to = await fill(bench, options.count);
    const auditor = `Bearer ${await tokenOf(bench, 'auditor.a')}`;
    const call = (path: string, init: RequestInit = {}) =>
      fetch(`${bench.hospital.api}${path}`, {
        ...init,
        headers: { authorization: auditor, 'content-type': 'application/json' },
      });
    const body = JSON.stringify({ format: 'ndjson', network: 'local', to });
    const { links } = (await (await call('/v1/audit/exports', { method: 'POST', body })).json()) as {
      links: { content: string; manifest: string };
    };
    const pid = bench.hospital.gateway.pid();
    const before = memory(pid, 'VmRSS');
    bench.log('the export, left lying for five seconds');
    const answer = await call(links.content);
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    const idle = memory(pid, 'VmRSS');
    bench.log('the export, read');
    const began = performance.now();
    const file = join(options.state, 'export.ndjson');
    await pipeline(Readable.fromWeb(answer.body as never), createWriteStream(file));
    const seconds = (performance.now() - began) / 1000;
    const peak = memory(pid, 'VmHWM');
    const text = await (await call(links.manifest)).text();
    const manifest = JSON.parse(text) as { rows: string; bytes: string; signature: { key: string } };
    await writeFile(`${file}.manifest`, text);
    bench.log('emr-verify');
    const verified = verify(file, manifest.signature.key);
    return {
      rows: Number(manifest.rows),
      megabytes: Math.round(Number(manifest.bytes) / 1e6),
      seconds: round(seconds),
      rowsPerSecond: Math.round(Number(manifest.rows) / seconds),
      gatewayRssMbBefore: before,
      gatewayRssMbIdleReader: idle,
      gatewayRssMbHighest: peak,
      ...verified,
    };
  });
  publish('export of the audit trail', figures, options.json);
  return figures.verdict.startsWith('verified') ? 0 : 1;
}

/** @returns the time before which the made events are; those of the last second are left out, so that no head of a block is claimed for them */
async function fill({ owner, log }: Bench, count: number): Promise<string> {
  log(`${count} events into the mirror`);
  // Looked up by sequence alone here, and millions of rows go in several times as fast without them.
  for (const name of ['request', 'record', 'actor', 'block', 'change']) {
    await owner.query(`DROP INDEX IF EXISTS mirror.ix_emr_event_${name}`);
  }
  const { rows } = await owner.query<{ number: string; sequence: string; time: string }>(
    `SELECT b.number, b.sequence, e.block_time AS time FROM mirror.cursor u JOIN mirror.block b ON b.network = u.network AND b.number = u.final_number
     JOIN mirror.emr_event e ON e.network = u.network AND e.sequence = b.sequence WHERE u.network = 'local'`,
  );
  const last = rows[0]!;
  const word = (value: string) => `decode(lpad(to_hex(${value}), 64, '0'), 'hex')`;
  const recordId = "decode('00000001' || repeat('ab', 28), 'hex')";
  const actor = "decode(repeat('cd', 20), 'hex')";
  await owner.query(
    `INSERT INTO mirror.emr_event SELECT 'local', $1::bigint + n, $2, sha256('block'), $3::bigint + n / 10000, n, sha256('transaction'), 0, 'RecordQueried',
       ${recordId}, n, 1, ${actor}, sha256(int8send(n)), 5, 0, 1,
       $4::bytea || ${word('$1::bigint + n')} || ${recordId} || decode(repeat('00', 12), 'hex') || ${actor},
       sha256(int8send(n)) || ${word('n')} || ${word('0')} || ${word('0')} || ${word('1')} || ${word('1')} || ${word('1')} || ${word('300')} || ${word('0')}
     FROM generate_series(1, $5::bigint) n`,
    [last.sequence, last.number, last.time, eventTopics.RecordQueried, count + 10_000],
  );
  await owner.query(`UPDATE mirror.block SET sequence = sequence + $2 WHERE network = 'local' AND number = $1`, [
    last.number,
    count + 10_000,
  ]);
  return new Date((Number(last.time) + Math.floor(count / 10_000)) * 1000).toISOString();
}

function verify(file: string, key: string) {
  const program = join(projectRoot, 'verifier', 'emr-verify.mjs');
  const began = performance.now();
  const { stdout } = spawnSync(process.execPath, [program, 'export', file, `${file}.manifest`, '--trust', key], {
    encoding: 'utf8',
  });
  return { verifySeconds: round((performance.now() - began) / 1000), verdict: stdout.trim().split('\n').at(-1) ?? '' };
}

/** MiB, from /proc: what is resident now (VmRSS), or was at most since the process began (VmHWM). */
function memory(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const kib = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round(Number(kib) / 1024);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
