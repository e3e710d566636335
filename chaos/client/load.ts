import { bundle } from '../bundle.builder.js';
import type { E2eHospital } from '../hospitals.js';
import type { Answer, User } from '../user.js';
import { Dice } from './dice.js';

/** What a client knows of one act: from answers alone. */
export interface Act {
  kind: 'query' | 'open' | 'refused';
  key: string;
  tries: number;
  requestId?: string;
  operationId?: string;
  recordId?: string;
  /** state of the last answer that told one */
  state?: string;
  /** event that an answer named, once it said that the act has ended */
  event?: string;
  /** whether content came with the answer */
  released?: boolean;
}

export interface Load {
  acts: Act[];
  /** every record that an answer called open, with its bytes */
  opened: Map<string, Buffer>;
  /** answers and contradictions that must not be */
  wrong: string[];
  /** answers by status, and `lost` for requests that got none */
  counts: Record<string, number>;
}

/** What a client that means it repeats, with the same key: no answer, or one that asks to come again. */
const AGAIN = new Set([429, 502, 503, 504]);
const LAST_TRY_MS = 90_000;

/**
 * Clients that query, open and try what isn't theirs, each one act after the other until `stop` says so, and then until each
 * act of theirs has got an answer. A request without an answer is sent again with its key.
 */
export async function offerLoad(options: {
  hospital: E2eHospital;
  records: Map<string, Buffer>;
  clients: number;
  seed: number;
  /** goes into every content, and may be nowhere else */
  canary: string;
  stop: AbortSignal;
}): Promise<Load> {
  const { hospital, records, stop } = options;
  const load: Load = { acts: [], opened: new Map(records), wrong: [], counts: {} };
  const clinician = hospital.user('clinician.a');
  const stranger = hospital.user('clinician.c');
  await Promise.all([clinician.token(), stranger.token()]);

  const client = async (number: number): Promise<void> => {
    const dice = new Dice(options.seed * 1000 + number);
    for (let turn = 0; !stop.aborted; turn += 1) {
      const key = `crash-${options.seed}-${number}-${turn}`;
      const chance = dice.below(100);
      const recordId = dice.of([...load.opened.keys()]);
      if (chance < 10) await open(load, clinician, key, bundle({ id: key, family: options.canary, kilobytes: 4 }));
      else if (chance < 18) await look(load, { kind: 'refused', key, recordId, tries: 0 }, stranger, dice);
      else await look(load, { kind: 'query', key, recordId, tries: 0 }, clinician, dice);
    }
  };
  await Promise.all(Array.from({ length: options.clients }, (_, number) => client(number)));
  return load;
}

async function look(load: Load, act: Act, user: User, dice: Dice): Promise<void> {
  load.acts.push(act);
  const prefer = dice.of(['wait=5', 'wait=5, return=representation', 'wait=5, return=representation', 'respond-async']);
  const due = act.kind === 'refused' ? [202, 403] : [201, 202];
  const path = `/v1/emrs/${act.recordId}/queries`;
  const answer = await insist(load, act, due, () => user.post(path, { purpose: 'TREAT' }, { key: act.key, prefer }));
  if (!answer) return;
  if (answer.headers.has('x-event-id')) {
    act.released = true;
    if (!answer.bytes.equals(load.opened.get(act.recordId ?? '') ?? Buffer.alloc(0)))
      load.wrong.push(`${act.key}: other bytes`);
    told(load, act, {
      requestId: answer.headers.get('location')?.split('/').at(-1),
      ...{ id: answer.headers.get('operation-id'), state: 'confirmed', event: answer.headers.get('x-event-id') },
    });
  } else told(load, act, answer.status === 403 ? answer.json.operation : answer.json);
}

async function open(load: Load, user: User, key: string, bytes: Buffer): Promise<void> {
  const act: Act = { kind: 'open', key, tries: 0 };
  const uploaded = await insist(load, { ...act }, [201], () =>
    user.post('/v1/contents', bytes, { key: `${key}-content` }),
  );
  if (!uploaded) return;
  load.acts.push(act);
  const patient = { identifier: { system: 'urn:e2e:mrn', value: key } };
  const body = { patient, contentId: uploaded.json.contentId };
  const answer = await insist(load, act, [201, 202], () => user.post('/v1/emrs', body, { key, prefer: 'wait=5' }));
  if (!answer) return;
  told(load, act, answer.json);
  act.recordId = answer.json.recordId;
  if (answer.status === 201 && act.recordId) load.opened.set(act.recordId, bytes);
}

/** Sends until there is an answer that isn't "come again". @returns undefined, and notes it, when none of those due comes */
async function insist(
  load: Load,
  act: Act,
  due: number[],
  request: () => Promise<Answer>,
): Promise<Answer | undefined> {
  for (const deadline = Date.now() + LAST_TRY_MS; Date.now() < deadline; ) {
    act.tries += 1;
    const answer = await request().catch(() => undefined);
    const status = answer?.status ?? 'lost';
    load.counts[status] = (load.counts[status] ?? 0) + 1;
    if (answer && due.includes(answer.status)) return answer;
    if (answer && !AGAIN.has(answer.status)) {
      load.wrong.push(`${act.kind} ${act.key}, try ${act.tries}: ${answer.status} ${answer.bytes.subarray(0, 300)}`);
      return undefined;
    }
    await new Promise((wake) => setTimeout(wake, 100));
  }
  load.wrong.push(`${act.kind} ${act.key}: no answer in ${LAST_TRY_MS / 1000} s and ${act.tries} tries`);
  return undefined;
}

interface Told {
  id?: string | null | undefined;
  requestId?: string | undefined;
  state?: string;
  event?: string | null | undefined;
}

/** Notes what an answer says of an act; two answers may not contradict each other. */
export function told(load: Load, act: Act, operation: Told): void {
  const { requestId } = operation;
  const operationId = operation.id ?? act.operationId;
  const ended = act.state !== undefined && ['confirmed', 'denied', 'failed', 'cancelled'].includes(act.state);
  if (act.requestId !== undefined && act.requestId !== requestId) load.wrong.push(`${act.key}: another request id`);
  if (act.operationId !== undefined && act.operationId !== operationId)
    load.wrong.push(`${act.key}: another operation`);
  if (ended && act.state !== operation.state) load.wrong.push(`${act.key}: ${act.state}, then ${operation.state}`);
  if (act.event && act.event !== operation.event) load.wrong.push(`${act.key}: ${act.event}, then ${operation.event}`);
  if (requestId !== undefined) act.requestId = requestId;
  if (operationId !== undefined) act.operationId = operationId;
  if (operation.state !== undefined) act.state = operation.state;
  if (operation.event) act.event = operation.event;
}
