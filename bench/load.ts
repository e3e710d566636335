import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { type Bench, tokenOf } from './hospital.js';
import { type Answer, HttpClient } from './http-client.js';

/** What clients saw of a load, and what it became. */
export interface Load {
  /** within the measured time */
  confirmed: number;
  acceptMs: number[];
  confirmMs: number[];
  /** answers 503 with Retry-After, by which the gateway says that more is asked of it than it can do */
  refused: number;
  errors: string[];
  /** request ids of everything that was accepted, and of what an answer called confirmed */
  accepted: Set<string>;
  seenConfirmed: Set<string>;
}

export interface LoadPlan {
  /** requests on their way at once, at most */
  clients: number;
  /** measured, ms; before them `warmUpMs` that don't count */
  durationMs: number;
  warmUpMs: number;
  /** requests a second, evenly spread whatever becomes of them; undefined: each client asks again when it has its answer */
  rate?: number;
  onProgress?(load: Load): void;
}

const PROGRESS_MS = 5_000;

/** Queries over HTTP with a JWT and a key of their own, each waited for until it is confirmed. */
export async function offerQueries(bench: Bench, plan: LoadPlan): Promise<Load> {
  const load: Load = {
    ...{ confirmed: 0, acceptMs: [], confirmMs: [], refused: 0, errors: [] },
    ...{ accepted: new Set<string>(), seenConfirmed: new Set<string>() },
  };
  const apis = [bench.hospital.api, ...bench.replicas.map(({ api }) => api)];
  const gateways = apis.map((api) => new HttpClient(api, Math.ceil(plan.clients / apis.length)));
  const authorization = `Bearer ${await tokenOf(bench, 'clinician.a')}`;
  const from = performance.now() + plan.warmUpMs;
  const until = from + plan.durationMs;
  const progress = setInterval(() => plan.onProgress?.(load), PROGRESS_MS);
  let asked = 0;
  const ask = async (): Promise<void> => {
    const record = bench.records[asked % bench.records.length]!;
    asked += 1;
    const headers = {
      ...{ authorization, 'content-type': 'application/json' },
      ...{ 'idempotency-key': randomUUID(), prefer: 'wait=30' },
    };
    const answer = await (gateways[asked % gateways.length] as HttpClient)
      .send('POST', `/v1/emrs/${record.recordId}/queries`, headers, '{"purpose":"TREAT"}')
      .catch((error: Error) => error);
    const at = performance.now();
    // By the answer, not by the question: what is answered after the end was not done within the time.
    note(load, answer, at >= from && at < until);
  };
  if (plan.rate === undefined) {
    await Promise.all(
      Array.from({ length: plan.clients }, async () => {
        while (performance.now() < until) await ask();
      }),
    );
  } else {
    await atRate(plan.rate, until, ask);
  }
  clearInterval(progress);
  for (const gateway of gateways) gateway.close();
  return load;
}

/** An open loop: what is asked doesn't wait for what was asked. A timer that comes late asks at once for all that is due. */
async function atRate(rate: number, until: number, ask: () => Promise<void>): Promise<void> {
  const began = performance.now();
  const all: Promise<void>[] = [];
  for (let now = began; now < until; now = performance.now()) {
    const due = Math.floor(((now - began) / 1000) * rate);
    while (all.length < due) all.push(ask());
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(all);
}

function note(load: Load, answer: Answer | Error, counted: boolean): void {
  if (!(answer instanceof Error) && answer.status === 503 && answer.headers['retry-after'] !== undefined) {
    if (counted) load.refused += 1;
    return;
  }
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
