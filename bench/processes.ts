import { readdirSync, readFileSync } from 'node:fs';
import pg from 'pg';
import type { RunningHospital, RunningStack } from '../deploy/local/stack.js';
import type { Bench } from './hospital.js';

/** What one part of the stack has used so far. */
export interface Usage {
  cpuSeconds: number;
  /** Resident memory at the moment, MiB; of several processes their sum, less what they share with each other where it is known. */
  rssMb: number;
}

/** By part: `loadGenerator`, `gateway`, `indexer`, `nodeLocal`, `postgres`, …, `others` (everything of the other hospital and the global nodes). */
export type UsageByPart = Record<string, Usage>;

// USER_HZ, the unit of /proc/<pid>/stat, is 100 on every Linux that Node runs on.
const TICKS_PER_SECOND = 100;
const PAGE_KIB = 4;

/**
 * CPU and memory of the stack by part, read from /proc: what has been used from each process's start to now. Postgres is split by
 * whom it works for (`postgresForGateway`, `postgresForIndexer`); the rest of it, writers of the log and of pages, is `postgresOwn`.
 * Undefined where there is no /proc.
 */
export async function usageOf({ stack, replicas }: Bench): Promise<UsageByPart | undefined> {
  const all = readProcesses();
  if (all === undefined) return undefined;
  const [first, ...others] = stack.hospitals as [RunningHospital, ...RunningHospital[]];
  const own = process.cpuUsage();
  const usage: UsageByPart = {
    loadGenerator: {
      cpuSeconds: (own.user + own.system) / 1e6,
      rssMb: Math.round(process.memoryUsage().rss / 2 ** 20),
    },
    gateway: sum(all, [first.gateway.pid(), ...replicas.map(({ gateway }) => gateway.pid())]),
    indexer: sum(all, [first.indexer.pid()]),
  };
  const rest = others.flatMap(({ gateway, indexer }) => [gateway.pid(), indexer.pid()]);
  for (const { title, pid } of stack.chains.pids()) {
    if (title.startsWith(first.layout.title) && /local/.test(title)) usage.nodeLocal = sum(all, [pid]);
    else rest.push(pid);
  }
  usage.others = sum(all, rest);
  const backends = await backendsOf(stack, first.layout.database);
  const server = [...all.entries()].filter(([, { parent }]) => parent === stack.postgres.pid).map(([pid]) => pid);
  const belongs = (who: string) => server.filter((pid) => backends.get(pid) === who);
  usage.postgresForGateway = sum(all, belongs('gateway'));
  usage.postgresForIndexer = sum(all, belongs('indexer'));
  const known = new Set([...belongs('gateway'), ...belongs('indexer')]);
  usage.postgresOwn = sum(all, [stack.postgres.pid, ...server.filter((pid) => !known.has(pid))]);
  return usage;
}

/** What was used between two readings; memory is that of the later one. A backend that ended in between is missing: it can't be read any more. */
export function usedBetween(before: UsageByPart, after: UsageByPart): UsageByPart {
  return Object.fromEntries(
    Object.entries(after).map(([part, { cpuSeconds, rssMb }]) => [
      part,
      { cpuSeconds: round(Math.max(0, cpuSeconds - (before[part]?.cpuSeconds ?? 0))), rssMb },
    ]),
  );
}

interface ProcessRow {
  parent: number;
  cpuSeconds: number;
  rssMb: number;
}

function readProcesses(): Map<number, ProcessRow> | undefined {
  const found = new Map<number, ProcessRow>();
  try {
    for (const name of readdirSync('/proc')) {
      const pid = Number(name);
      if (!Number.isInteger(pid)) continue;
      const row = readProcess(pid);
      if (row) found.set(pid, row);
    }
  } catch {
    return undefined;
  }
  return found;
}

/** proc(5): the fields after the last `)` start with the third, state. Undefined for a process that has ended meanwhile. */
function readProcess(pid: number): ProcessRow | undefined {
  let text: string;
  let memory: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    memory = readFileSync(`/proc/${pid}/statm`, 'utf8');
  } catch {
    return undefined;
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [, resident, shared] = memory.split(' ').map(Number);
  return {
    parent: Number(fields[1]),
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
    // Postgres's processes share their buffers: only what is a process's own is added up.
    rssMb: (((resident ?? 0) - (shared ?? 0)) * PAGE_KIB) / 1024,
  };
}

function sum(all: Map<number, ProcessRow>, pids: number[]): Usage {
  const rows = pids.map((pid) => all.get(pid)).filter((row) => row !== undefined);
  return {
    cpuSeconds: round(rows.reduce((total, row) => total + row.cpuSeconds, 0)),
    rssMb: Math.round(rows.reduce((total, row) => total + row.rssMb, 0)),
  };
}

async function backendsOf(stack: RunningStack, database: string): Promise<Map<number, string>> {
  const client = new pg.Client({ connectionString: stack.postgres.url });
  await client.connect();
  try {
    const { rows } = await client.query<{ pid: number; who: string }>(
      `SELECT pid, CASE WHEN usename LIKE '%_mirror' THEN 'indexer' ELSE 'gateway' END AS who
       FROM pg_stat_activity WHERE datname = $1`,
      [database],
    );
    return new Map(rows.map(({ pid, who }) => [pid, who]));
  } finally {
    await client.end();
  }
}

function round(seconds: number): number {
  return Math.round(seconds * 100) / 100;
}

/** CPU microseconds an act took, by part and in all. */
export function stageTable(used: UsageByPart, acts: number): Record<string, number> {
  const micros = (seconds: number) => Math.round((seconds * 1e6) / Math.max(1, acts));
  const parts = Object.entries(used).map(([part, { cpuSeconds }]) => [part, micros(cpuSeconds)] as const);
  const all = Object.values(used).reduce((total, { cpuSeconds }) => total + cpuSeconds, 0);
  return { ...Object.fromEntries(parts), all: micros(all) };
}
