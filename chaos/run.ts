import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { ipcCall } from '../deploy/geth/ipc.js';
import { addressOf } from '../libs/chain-client/src/keys/secp256k1.js';
import { relayerKey } from './client/ledger.js';
import { askAgain, drain, endedStates, type Load, type LoadOptions, offerLoad } from './client/load.js';
import { User } from './client/user.js';
import { Dice } from './dice.js';
import { type Facts, readFacts } from './oracle/facts.js';
import { type Allowances, type Finding, judge } from './oracle/judge.js';
import { isSend } from './proxy/fates.js';
import type { ScenarioOf } from './scenario.js';
import { clockFile, type ProgramName } from './stack/programs.js';
import type { ChaosStack } from './stack/stack.js';
import { CANARY } from './stack/template.js';

export type Scenario = ScenarioOf<Run>;

/** One thing that was done to the stack on purpose. */
export interface Fault {
  what: string;
  rows: number[];
}

export interface RunResult {
  faults: Fault[];
  acts: number;
  answers: Record<string, number>;
  events: number;
  transactions: number;
  /** how often the mirror followed the chain to another branch, or noted that it must not */
  reorganisations: number;
  findings: Finding[];
}

/** Rows of the matrix by the point a program was killed at. */
const FAILPOINT_ROWS: Record<string, number[]> = {
  'before-accept-commit': [1],
  'after-accept-commit': [2],
  'after-assignment-commit': [4],
  'before-attempt-commit': [3],
  'after-attempt-commit': [5],
  'after-send': [6],
  'after-sent-recorded': [6],
  'before-mirror-commit': [8],
  'in-mirror-commit': [8],
  'after-mirror-commit': [8],
};
const FATE_ROWS: Record<string, number[]> = { swallow: [9], refuse: [20] };

const READY_MS = 90_000;
const DRAIN_MS = 60_000;
const SETTLE_MS = 30_000;

/** One run: load, trouble, quiet, verdict. */
export class Run {
  readonly faults: Fault[] = [];
  readonly allow: Allowances;
  readonly dice: Dice;
  load: Load = { acts: [], opened: new Map(), wrong: [], unanswered: [], counts: {} };
  /** What went wrong outside of what the oracle looks at. */
  readonly findings: Finding[] = [];
  stack!: ChaosStack;
  /** What the verdict rests on, once there is one. */
  facts: Facts | undefined;
  private readonly killed = new Set<ProgramName>();
  private readonly paused = new Set<number>();
  private readonly specs = new Map<ProgramName, string>();
  private readonly programDice: Dice;
  private readonly proxyDice: Dice;
  private readonly users = new Map<string, User>();
  private turn = 0;
  private ending = false;

  constructor(
    readonly scenario: Scenario,
    readonly seed: number,
    readonly log: (text: string) => void,
  ) {
    this.dice = new Dice(seed);
    this.programDice = new Dice(seed * 31 + 7);
    this.proxyDice = new Dice(seed * 31 + 11);
    this.allow = { ...scenario.allow };
  }

  /** Handed to the programs of the stack: where they end next, and what is made of it when they do. */
  readonly hooks = {
    failpoint: (name: ProgramName): string | undefined => {
      const spec = this.ending ? undefined : this.scenario.failpoint?.(name, this.programDice);
      if (spec === undefined) this.specs.delete(name);
      else this.specs.set(name, spec);
      return spec;
    },
    onEnd: (name: ProgramName, signal: NodeJS.Signals | null): void => {
      if (this.killed.delete(name)) return;
      const spec = this.specs.get(name);
      if (signal === 'SIGKILL' && spec !== undefined) this.fault(`kill ${name} at ${spec}`, rowsOf(spec));
      else this.findings.push({ kind: 'other', text: `${name} ended by itself (${signal ?? 'exit'})` });
    },
  };

  /** Notes one fault. */
  fault(what: string, rows: number[] = this.scenario.rows): void {
    this.faults.push({ what, rows });
    this.log(`fault: ${what}`);
  }

  /** Rests between two numbers of milliseconds, as the dice say. */
  rest(from: number, to: number): Promise<void> {
    return sleep(from + this.dice.below(Math.max(1, to - from)));
  }

  /** SIGKILL to a program of ours; it is started again by itself. Waits until there is one to kill. */
  async kill(name: ProgramName, rows?: number[]): Promise<void> {
    const service = this.stack.programs.byName(name);
    await until(async () => alive(service.pid()), 10_000);
    this.killed.add(name);
    try {
      process.kill(service.pid(), 'SIGKILL');
      this.fault(`kill ${name}`, rows);
    } catch {
      this.killed.delete(name);
    }
  }

  /** SIGSTOP, and SIGCONT after `ms`. */
  async pause(name: ProgramName, ms: number, rows?: number[]): Promise<void> {
    const pid = this.stack.programs.byName(name).pid();
    if (!alive(pid)) return;
    this.paused.add(pid);
    process.kill(pid, 'SIGSTOP');
    this.fault(`stop ${name} for ${ms} ms`, rows);
    await sleep(ms);
    this.paused.delete(pid);
    if (alive(pid)) process.kill(pid, 'SIGCONT');
  }

  user = (name: string): User => {
    const known = this.users.get(name);
    if (known) return known;
    const base = () => {
      this.turn += 1;
      return this.stack.apis[this.turn % this.stack.apis.length] as string;
    };
    const user = new User(base, name, this.stack.passwords[name] ?? '');
    this.users.set(name, user);
    return user;
  };

  get loadOptions(): Omit<LoadOptions, 'stop'> {
    return {
      ...{ user: this.user, records: this.stack.records, clients: this.scenario.clients ?? 6, seed: this.seed },
      ...{ canary: CANARY, restMs: 60, timeoutMs: 9_000, patienceMs: DRAIN_MS },
      ...{ mayFail: this.scenario.mayFail ?? false, refused: this.scenario.refused ?? 8 },
      mayMissContent: this.scenario.allow?.restored ?? false,
    };
  }

  /** Logs in anew with the next request. */
  forgetTokens(): void {
    this.users.clear();
  }

  /** Sets a gateway's clock off by so many milliseconds. */
  async setClock(name: ProgramName, offsetMs: number, rows?: number[]): Promise<void> {
    await writeFile(clockFile(this.stack.layout, name), String(offsetMs));
    if (offsetMs !== 0) this.fault(`clock of ${name} off by ${offsetMs} ms`, rows);
  }

  drain(): Promise<void> {
    return drain(this.load, this.user, DRAIN_MS);
  }

  /** Rows of one statement as the database's owner. @throws Error while Postgres is away */
  async sql<T = Record<string, unknown>>(text: string, values: unknown[] = []): Promise<T[]> {
    const client = new pg.Client({ connectionString: this.stack.database.ownerUrl, connectionTimeoutMillis: 5_000 });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query(text, values)).rows as T[];
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  async execute(stack: ChaosStack): Promise<RunResult> {
    this.stack = stack;
    const { scenario } = this;
    const stopping = new AbortController();
    const offered = offerLoad({ ...this.loadOptions, stop: stopping.signal });
    offered.catch(() => undefined); // awaited below
    const fate = scenario.fate;
    if (fate) {
      stack.proxy.decide = (message, front) => {
        const decided = fate(message, front, this.proxyDice);
        if (decided.kind !== 'pass')
          this.fault(`${front} ${decided.kind}${isSend(message) ? ' of a send' : ''}`, FATE_ROWS[decided.kind]);
        return decided;
      };
    }
    const verdictReached = new AbortController();
    const waking = this.wakeStopped(stopping.signal, verdictReached.signal);
    try {
      await Promise.all([scenario.inject?.(this), sleep((scenario.seconds ?? 8) * 1000)]);
    } catch (error) {
      this.findings.push({ kind: 'other', text: `the scenario could not be carried out: ${(error as Error).message}` });
    } finally {
      this.ending = true;
      stack.proxy.decide = () => ({ kind: 'pass' });
      stopping.abort();
    }
    await this.becomesQuiet(offered);
    await scenario.afterwards?.(this);
    verdictReached.abort();
    await waking;
    const facts = await this.verdict();
    this.facts = facts;
    const { acts, counts } = this.load;
    return {
      ...{ faults: this.faults, acts: acts.length, answers: counts, findings: this.findings },
      ...{ events: facts?.events.length ?? 0, transactions: facts?.sent.length ?? 0 },
      reorganisations: facts?.reorganisations.length ?? 0,
    };
  }

  /** A program that stopped itself at a failpoint is woken after a while; once load has ended, at once. */
  private async wakeStopped(stopping: AbortSignal, done: AbortSignal): Promise<void> {
    const seen = new Set<number>();
    while (!done.aborted) {
      await restUnless(done, 50);
      for (const name of ['gateway-1', 'gateway-2'] as const) {
        const pid = this.stack.programs.byName(name).pid();
        const spec = this.specs.get(name);
        if (!spec?.endsWith(':stop') || seen.has(pid) || !isStopped(pid) || this.paused.has(pid)) continue;
        seen.add(pid);
        const [from, to] = this.scenario.stopMs ?? [500, 4_500];
        const ms = from + this.programDice.below(to - from);
        this.fault(`stop ${name} at ${spec} for ${ms} ms`, [17]);
        void this.wakeLater(name, pid, ms, stopping);
      }
    }
  }

  /** A process is armed once: after it had its late say it is ended, so that the next one is armed again. */
  private async wakeLater(name: ProgramName, pid: number, ms: number, stopping: AbortSignal): Promise<void> {
    await restUnless(stopping, ms);
    if (alive(pid)) process.kill(pid, 'SIGCONT');
    await restUnless(stopping, 300);
    if (!stopping.aborted && this.stack.programs.byName(name).pid() === pid) await this.kill(name, [16]);
  }

  private async becomesQuiet(offered: Promise<Load>): Promise<void> {
    try {
      await this.stack.programs.ready(READY_MS);
    } catch (error) {
      this.findings.push({ kind: 'stuck', text: (error as Error).message.split('\n')[0] ?? '' });
    }
    this.load = await offered;
    await this.drain();
    if (this.load.acts.some(({ state }) => !endedStates.has(state ?? ''))) await this.noteWaiting();
  }

  /** Who waits for whom in Postgres: for whoever looks into a run that got stuck. */
  async noteWaiting(): Promise<void> {
    const rows = await this.sql(
      `SELECT pid, pg_blocking_pids(pid) AS blocked_by, state, wait_event, now() - xact_start AS since, application_name,
         left(query, 120) AS query FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'`,
    ).catch((error: Error) => [{ error: error.message }]);
    for (const row of rows) this.log(`postgres: ${JSON.stringify(row)}`);
  }

  private async verdict(): Promise<Facts | undefined> {
    const { load, stack } = this;
    await askAgain(load, this.user);
    if (stack.kind !== 'instant') await stack.stopSealing();
    await this.settled();
    const relayer = addressOf(await relayerKey(stack.hospital, 'local'));
    const source = { networksFile: stack.networks.direct, ownerUrl: stack.database.ownerUrl, relayer };
    try {
      const facts = await readFacts(source);
      this.findings.push(...judge(facts, load.acts, this.allow));
      this.findings.push(...load.wrong.map((text): Finding => ({ kind: wrongKind(text), text })));
      this.findings.push(...load.unanswered.map((text): Finding => ({ kind: 'stuck', text })));
      return facts;
    } catch (error) {
      this.findings.push({ kind: 'other', text: `no verdict: ${(error as Error).stack}` });
      return undefined;
    }
  }

  /** Waits until the mirror has the node's tip and nothing signed is open: what stays open after that is stuck. */
  private async settled(): Promise<void> {
    await until(async () => {
      const tip = await ipcCall<{ number: string }>(this.stack.nodes.ipcPath, 'eth_getBlockByNumber', [
        'latest',
        false,
      ]);
      const [row] = await this.sql<{ number: string; open: number }>(
        `SELECT (SELECT number FROM mirror.cursor WHERE network = 'local') AS number,
           (SELECT count(*)::int FROM gateway.transaction WHERE state IN ('signed', 'submitted')) AS open`,
      );
      return row !== undefined && BigInt(row.number ?? -1) === BigInt(tip.number) && row.open === 0;
    }, SETTLE_MS);
  }
}

/** Contradictory answers mean that one of them wasn't true. */
const wrongKind = (text: string) => (/, then |another /.test(text) ? 'taken-back' : 'other');

const rowsOf = (spec: string) => FAILPOINT_ROWS[spec.split(':')[0] ?? ''] ?? [];

/** Asks until the answer is yes; an error counts as no. @returns whether it became so in time */
export async function until(condition: () => Promise<boolean>, timeoutMs: number): Promise<boolean> {
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; ) {
    if (await condition().catch(() => false)) return true;
    await sleep(50);
  }
  return false;
}

/** Rests, but no longer than until the signal comes. */
function restUnless(signal: AbortSignal, ms: number): Promise<void> {
  return sleep(ms, undefined, { signal }).catch(() => undefined);
}

function stateOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[0];
  } catch {
    return undefined;
  }
}

export const alive = (pid: number) => pid > 0 && stateOf(pid) !== undefined && stateOf(pid) !== 'Z';
export const isStopped = (pid: number) => stateOf(pid) === 'T';
