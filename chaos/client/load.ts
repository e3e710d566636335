import { Dice } from '../dice.js';
import { bundle } from './bundle.builder.js';
import type { Answer, User } from './user.js';

/** What a client knows of one act: from answers alone. */
export interface Act {
  kind: 'query' | 'open' | 'refused';
  key: string;
  tries: number;
  requestId?: string;
  operationId?: string | undefined;
  recordId?: string;
  /** state of the last answer that told one */
  state?: string | undefined;
  /** code of a failure, once told */
  code?: string;
  /** event that an answer named, once it said that the act has ended */
  event?: string;
  /** whether content came with the answer */
  released?: boolean;
  /** what was told before the database was lost */
  before?: { state: string; event: string | undefined };
  /** of an open: what was uploaded */
  bytes?: Buffer;
}

export interface Load {
  acts: Act[];
  /** every record that an answer called open, with its bytes */
  opened: Map<string, Buffer>;
  /** answers and contradictions that must not be */
  wrong: string[];
  /** acts that got no answer in time */
  unanswered: string[];
  /** answers by status, and `lost` for requests that got none */
  counts: Record<string, number>;
}

export interface LoadOptions {
  /** a registered user by name */
  user(name: string): User;
  records: Map<string, Buffer>;
  clients: number;
  seed: number;
  /** goes into every content, and may be nowhere else */
  canary: string;
  /** how long a client rests between two acts at most, ms (default 0) */
  restMs?: number;
  /** how long it waits for one answer (default 60,000) */
  timeoutMs?: number;
  /** how long it repeats one act before it gives up (default 90,000) */
  patienceMs?: number;
  /** share of acts that the ledger denies, percent (default 8) */
  refused?: number;
  /** acts may end as failed here: the answer that says so is one */
  mayFail?: boolean;
  /** the database was put back here: a look's content may be missing until its record is opened again, which the answer says */
  mayMissContent?: boolean;
  stop: AbortSignal;
}

/** What a client that means it repeats, with the same key: no answer, or one that asks to come again. */
const AGAIN = new Set([429, 502, 503, 504]);
export const endedStates: ReadonlySet<string> = new Set(['confirmed', 'denied', 'failed', 'cancelled']);

/**
 * Clients that query, open and try what isn't theirs, each one act after the other until `stop` says so, and then until each
 * act of theirs has got an answer. A request without an answer is sent again with its key.
 */
export async function offerLoad(options: LoadOptions): Promise<Load> {
  const clients = new Clients(options);
  await Promise.all(['clinician.a', 'clinician.c'].map((name) => options.user(name).token()));
  await Promise.all(Array.from({ length: options.clients }, (_, number) => clients.run(number)));
  return clients.load;
}

/** Opens a record under each of these keys, with the same content each time it is asked. */
export async function openAll(keys: string[], options: Pick<LoadOptions, 'user' | 'canary'>): Promise<Load> {
  const stop = AbortSignal.abort();
  const clients = new Clients({ ...options, records: new Map(), clients: 1, seed: 0, stop });
  for (const key of keys) await clients.open(key, bundle({ id: key, family: options.canary, kilobytes: 4 }));
  return clients.load;
}

/** Forgets which operations the acts became, as after the loss of the database; what was told of their ends is remembered. */
export function forgetOperations(load: Load): void {
  for (const act of load.acts) {
    if (act.state !== undefined && endedStates.has(act.state)) act.before = { state: act.state, event: act.event };
    act.operationId = undefined;
    act.state = undefined;
    act.event = undefined;
  }
}

/** Asks for each act anew with its own key, as clients do that no longer know what became of it. */
export async function repeatAll(load: Load, options: LoadOptions): Promise<void> {
  const clients = new Clients(options, load);
  const queue = [...load.acts];
  await Promise.all(
    Array.from({ length: options.clients }, async (_, number) => {
      const dice = new Dice(options.seed * 1000 + 500 + number);
      for (let act = queue.shift(); act; act = queue.shift()) await clients.repeat(act, dice);
    }),
  );
}

/** Asks for each act that hadn't ended until it has, or time is up; acts that never got an answer stay as they are. */
export async function drain(load: Load, user: LoadOptions['user'], timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (const act of load.acts) {
    while (act.operationId !== undefined && !endedStates.has(act.state ?? '') && Date.now() < deadline) {
      await ask(load, act, user);
      if (!endedStates.has(act.state ?? '')) await new Promise((wake) => setTimeout(wake, 100));
    }
  }
}

/** Asks for every act once more: whatever an answer said before must hold still. */
export async function askAgain(load: Load, user: LoadOptions['user']): Promise<void> {
  const queue = [...load.acts];
  const asker = async () => {
    for (let act = queue.shift(); act; act = queue.shift()) {
      if (act.operationId === undefined) continue;
      let answered = false;
      for (let tries = 0; tries < 6 && !answered; tries += 1) answered = await ask(load, act, user);
      if (!answered) load.unanswered.push(`${act.key}: its operation can't be asked for`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, asker));
}

/** @returns whether there was an answer */
async function ask(load: Load, act: Act, user: LoadOptions['user']): Promise<boolean> {
  const answer = await whose(act, user)
    .get(`/v1/operations/${act.operationId}`, { timeoutMs: 10_000 })
    .catch(() => undefined);
  if (answer === undefined || AGAIN.has(answer.status)) return false;
  if (answer.status === 200) told(load, act, answer.json);
  else load.wrong.push(`${act.key}: its operation answers ${answer.status}`);
  return true;
}

const whose = (act: Act, user: LoadOptions['user']) => user(act.kind === 'refused' ? 'clinician.c' : 'clinician.a');

class Clients {
  constructor(
    private readonly options: LoadOptions,
    readonly load: Load = { acts: [], opened: new Map(options.records), wrong: [], unanswered: [], counts: {} },
  ) {}

  async run(number: number): Promise<void> {
    const { load, options } = this;
    const { seed, stop, restMs = 0 } = options;
    const dice = new Dice(seed * 1000 + number);
    for (let turn = 0; !stop.aborted; turn += 1) {
      const key = `crash-${seed}-${number}-${turn}`;
      const chance = dice.below(100);
      const recordId = dice.of([...load.opened.keys()]);
      if (chance < 10) await this.open(key, bundle({ id: key, family: options.canary, kilobytes: 4 }));
      else
        await this.#look(
          { kind: chance < 10 + (options.refused ?? 8) ? 'refused' : 'query', key, recordId, tries: 0 },
          dice,
          true,
        );
      if (restMs > 0) await new Promise((wake) => setTimeout(wake, dice.below(restMs)));
    }
  }

  async repeat(act: Act, dice: Dice): Promise<void> {
    if (act.kind !== 'open') return this.#look(act, dice, false);
    if (act.bytes !== undefined) await this.open(act.key, act.bytes, act);
  }

  async #look(act: Act, dice: Dice, isNew: boolean): Promise<void> {
    const { load } = this;
    if (isNew) load.acts.push(act);
    const user = whose(act, this.options.user);
    const prefer = dice.of(['wait=5', 'wait=5, return=representation', 'respond-async']);
    const due = act.kind === 'refused' ? [202, 403] : [201, 202, ...(this.options.mayMissContent ? [410] : [])];
    const path = `/v1/emrs/${act.recordId}/queries`;
    const { timeoutMs } = this.options;
    const send = () => user.post(path, { purpose: 'TREAT' }, { key: act.key, prefer, timeoutMs });
    const answer = await this.#insist(act, due, send);
    if (!answer) return;
    if (answer.headers.has('x-event-id')) {
      act.released = true;
      if (!answer.bytes.equals(load.opened.get(act.recordId ?? '') ?? Buffer.alloc(0)))
        load.wrong.push(`${act.key}: other bytes`);
      told(load, act, {
        requestId: answer.headers.get('location')?.split('/').at(-1),
        ...{ id: answer.headers.get('operation-id'), state: 'confirmed', event: answer.headers.get('x-event-id') },
      });
    } else told(load, act, [403, 409, 410].includes(answer.status) ? answer.json.operation : answer.json);
  }

  async open(key: string, bytes: Buffer, known?: Act): Promise<void> {
    const { load } = this;
    const { timeoutMs } = this.options;
    const user = this.options.user('clinician.a');
    const act: Act = known ?? { kind: 'open', key, tries: 0, bytes };
    for (let uploads = 0; uploads < 3; uploads += 1) {
      const upload = () => user.post('/v1/contents', bytes, { key: `${key}-content`, timeoutMs });
      const uploaded = await this.#insist({ ...act }, [201], upload);
      if (!uploaded) return;
      if (!known && uploads === 0) load.acts.push(act);
      const patient = { identifier: { system: 'urn:e2e:mrn', value: key } };
      const body = { patient, contentId: uploaded.json.contentId };
      const send = () => user.post('/v1/emrs', body, { key, prefer: 'wait=5', timeoutMs });
      const answer = await this.#insist(act, [201, 202, 400, 422], send);
      if (!answer) return;
      if (answer.status === 400 || answer.status === 422) {
        // A database that was put back to an earlier point has forgotten the upload: the client sends it again.
        if (answer.json?.errors?.[0]?.pointer === '/contentId') continue;
        load.wrong.push(`open ${key}: ${answer.status} ${answer.bytes.subarray(0, 300)}`);
        return;
      }
      told(load, act, answer.json.operation ?? answer.json);
      const recordId = answer.json.recordId ?? act.recordId;
      if (act.recordId !== undefined && act.recordId !== recordId) load.wrong.push(`${key}: another record`);
      act.recordId = recordId;
      if (answer.status === 201 && act.recordId) load.opened.set(act.recordId, bytes);
      return;
    }
    load.wrong.push(`open ${key}: its upload is forgotten again and again`);
  }

  /** Sends until there is an answer that isn't "come again". @returns undefined, and notes it, when none of those due comes */
  async #insist(act: Act, due: number[], request: () => Promise<Answer>): Promise<Answer | undefined> {
    const { load } = this;
    const { patienceMs = 90_000, mayFail = false } = this.options;
    for (const deadline = Date.now() + patienceMs; Date.now() < deadline; ) {
      act.tries += 1;
      const answer = await request().catch(() => undefined);
      const status = answer?.status ?? 'lost';
      load.counts[status] = (load.counts[status] ?? 0) + 1;
      if (answer && due.includes(answer.status)) return answer;
      if (answer?.status === 409 && mayFail && answer.json?.operation?.state === 'failed') return answer;
      if (answer && !AGAIN.has(answer.status)) {
        load.wrong.push(`${act.kind} ${act.key}, try ${act.tries}: ${answer.status} ${answer.bytes.subarray(0, 300)}`);
        return undefined;
      }
      await new Promise((wake) => setTimeout(wake, 100));
    }
    load.unanswered.push(`${act.kind} ${act.key}: no answer in ${patienceMs / 1000} s and ${act.tries} tries`);
    return undefined;
  }
}

interface Told {
  id?: string | null | undefined;
  requestId?: string | undefined;
  state?: string;
  event?: string | null | undefined;
  outcome?: { code?: string };
}

/** Notes what an answer says of an act; two answers may not contradict each other. */
export function told(load: Load, act: Act, operation: Told): void {
  const { requestId } = operation;
  const operationId = operation.id ?? act.operationId;
  const ended = act.state !== undefined && endedStates.has(act.state);
  if (act.requestId !== undefined && act.requestId !== requestId) load.wrong.push(`${act.key}: another request id`);
  if (act.operationId !== undefined && act.operationId !== operationId)
    load.wrong.push(`${act.key}: another operation`);
  if (ended && act.state !== operation.state) load.wrong.push(`${act.key}: ${act.state}, then ${operation.state}`);
  if (act.event && act.event !== operation.event) load.wrong.push(`${act.key}: ${act.event}, then ${operation.event}`);
  const { before } = act;
  if (before && endedStates.has(operation.state ?? '') && before.state !== operation.state)
    load.wrong.push(`${act.key}: ${before.state} before the loss, then ${operation.state}`);
  if (before?.event && endedStates.has(operation.state ?? '') && before.event !== operation.event)
    load.wrong.push(`${act.key}: ${before.event} before the loss, then ${operation.event}`);
  if (requestId !== undefined) act.requestId = requestId;
  if (operationId !== undefined) act.operationId = operationId;
  if (operation.state !== undefined) act.state = operation.state;
  if (operation.outcome?.code !== undefined) act.code = operation.outcome.code;
  if (operation.event && endedStates.has(operation.state ?? '')) act.event = operation.event;
}
