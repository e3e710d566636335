import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { indexerEnv } from '../apps/indexer/src/indexer.env.js';
import type { TableComparison } from '../apps/indexer/src/rebuild/comparison.js';
import type { RebuildProgress } from '../apps/indexer/src/rebuild/network.rebuild.js';
import {
  type Comparison,
  dropLeftover,
  MirrorRebuild,
  type RebuildOptions,
} from '../apps/indexer/src/rebuild/rebuild.js';
import { hospitalDatabases } from '../deploy/local/hospital-databases.js';
import { parseEnv } from '../libs/platform/src/env.js';
import { followedNetworks, readNetworks } from '../libs/platform/src/networks.js';

interface Target {
  title: string;
  ownerUrl: string;
  networksFile: string;
}

const say = (line: string) => process.stdout.write(`${line}\n`);

/** Makes the mirror anew, compares, switches. The last line says how it ended. @returns 0 when all was equal or done as asked, else 1; 2 for wrong arguments */
export async function run(args: string[]): Promise<number> {
  let options: ReturnType<typeof parse>;
  let targets: Target[];
  try {
    options = parse(args);
    targets = targetsOf(options);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\nnpm run indexer:rebuild -- --help says what there is.\n`);
    return 2;
  }
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () =>
      stop.abort(new Error(`Ended by ${signal}. What was rebuilt stays: run again to go on.`)),
    );
  }
  let code = 0;
  for (const target of targets) {
    if (targets.length > 1) say(`── ${target.title}`);
    try {
      if (!(await rebuild(target, options, stop.signal))) code = 1;
    } catch (error) {
      say(`rebuild failed: ${(error as Error).message}`);
      code = 1;
      if (stop.signal.aborted) break;
    }
  }
  return code;
}

function parse(args: string[]) {
  const boolean = { type: 'boolean', default: false } as const;
  const { values } = parseArgs({
    args,
    options: {
      ...{ switch: boolean, 'accept-differences': boolean, 'compare-only': boolean, fresh: boolean },
      ...{ 'drop-old': boolean, 'drop-rebuilt': boolean },
      'partition-by': { type: 'string' },
      state: { type: 'string' },
      hospital: { type: 'string' },
    },
  });
  const partitioning = z.enum(['month', 'none']).optional().safeParse(values['partition-by']);
  if (!partitioning.success) throw new Error('--partition-by takes month or none.');
  const letters = z.enum(['a', 'b']).optional().safeParse(values.hospital);
  if (!letters.success) throw new Error('--hospital takes a or b.');
  if (values['accept-differences'] && !values.switch) throw new Error('--accept-differences goes with --switch.');
  if (values['compare-only'] && (values.fresh || values['partition-by'])) {
    throw new Error('--compare-only makes nothing anew: leave --fresh and --partition-by away.');
  }
  return { ...values, partitioning: partitioning.data, letters: letters.data ? [letters.data] : (['a', 'b'] as const) };
}

function targetsOf(options: { state?: string | undefined; letters: readonly ('a' | 'b')[] }): Target[] {
  const given = parseEnv(z.object({ DATABASE_URL: z.string().optional() }), process.env);
  if (options.state === undefined && (given.DATABASE_URL || !existsSync('.emr/postgres'))) {
    const schema = z.object({
      DATABASE_URL: z.url('URL of the owner of the database'),
      NETWORKS_FILE: z.string('path of the networks file').min(1, 'path of the networks file'),
    });
    const env = parseEnv(schema, process.env);
    return [{ title: 'the mirror', ownerUrl: env.DATABASE_URL, networksFile: env.NETWORKS_FILE }];
  }
  return hospitalDatabases(resolve(options.state ?? '.emr'), options.letters);
}

/** @returns whether all is as it should be */
async function rebuild(target: Target, options: ReturnType<typeof parse>, signal: AbortSignal): Promise<boolean> {
  const networks = followedNetworks(readNetworks(target.networksFile));
  const { fresh, partitioning } = options;
  const progress = new ProgressLines();
  const common: RebuildOptions = {
    ...{ databaseUrl: target.ownerUrl, networks, fresh, partitioning, signal, say },
    partitionFrom: parseEnv(indexerEnv.pick({ MIRROR_PARTITION_EVENTS: true }), process.env).MIRROR_PARTITION_EVENTS,
    onProgress: (step) => progress.note(step),
    onTable: sayTable,
  };
  if (options['drop-old'] || options['drop-rebuilt']) return drop(common, options);
  const made = await MirrorRebuild.begin(common);
  try {
    if (options.switch) await made.assertSwitchable();
    await made.prepare(options['compare-only']);
    await made.build();
    say('comparing with one moment of the live mirror');
    const comparison = await made.compare();
    const verdict = verdictOf(comparison);
    if (!options.switch) {
      say(`${verdict}. ${comparison.equal ? 'Go on with --switch, or remove it with --drop-rebuilt.' : ADVICE}`);
      return comparison.equal;
    }
    if (!comparison.equal && !options['accept-differences']) {
      say(`${verdict}. Nothing was switched. ${ADVICE}`);
      return false;
    }
    await made.switch();
    say(`${verdict}; switched: the rebuilt mirror is live, the former one is kept as mirror_old until --drop-old.`);
    return true;
  } finally {
    await made.end();
  }
}

const ADVICE =
  'What differs is above; if the live mirror is what is wrong: --switch --accept-differences. The former one is kept as evidence.';

async function drop(common: RebuildOptions, options: { 'drop-old': boolean }): Promise<boolean> {
  const what = options['drop-old'] ? 'mirror_old' : 'mirror_rebuild';
  const dropped = await dropLeftover(common.databaseUrl, what);
  say(dropped ? `The schema ${what} is removed.` : `Nothing to do: there is no schema ${what}.`);
  return true;
}

function sayTable({ network, table, rows, differences }: TableComparison): void {
  say(`  ${differences.length === 0 ? 'equal  ' : 'DIFFERS'}  ${network} ${table}, ${rows.toLocaleString('en')} rows`);
  for (const difference of differences) say(`           ${difference}`);
}

function verdictOf({ tables, remarks, equal }: Comparison): string {
  for (const remark of remarks) say(`  DIFFERS  ${remark}`);
  if (!equal) {
    const unlike = tables.filter(({ differences }) => differences.length > 0);
    const which = unlike
      .map(({ network, table }) => `${network} ${table}`)
      .concat(remarks.length > 0 ? ['what is above'] : []);
    return `rebuild: the live mirror DIFFERS from the chain: ${which.join(', ')}`;
  }
  const sum = (table: string) => tables.filter((it) => it.table === table).reduce((total, { rows }) => total + rows, 0);
  const networks = new Set(tables.map(({ network }) => network)).size;
  return (
    `rebuild: equal byte for byte: ${networks} ${networks === 1 ? 'network' : 'networks'}, ` +
    `${sum('block').toLocaleString('en')} blocks, ${sum('emr_event').toLocaleString('en')} events`
  );
}

const EVERY_MS = 2_000;

/** A line every other second for each network: how far, how fast, how long still. */
class ProgressLines {
  private readonly began = Date.now();
  private readonly said = new Map<string, number>();

  note({ network, block, target, blocks, events }: RebuildProgress): void {
    const now = Date.now();
    if (now - (this.said.get(network) ?? this.began) < EVERY_MS) return;
    this.said.set(network, now);
    const seconds = (now - this.began) / 1000;
    const perSecond = blocks / seconds;
    const left = Number(target - block) / perSecond;
    const percent = target === 0n ? 100 : (Number(block) / Number(target)) * 100;
    const figure = (value: number) => Math.round(value).toLocaleString('en');
    say(
      `${network}: block ${block.toLocaleString('en')} of ${target.toLocaleString('en')} (${percent.toFixed(1)} %), ` +
        `${figure(perSecond)} blocks/s, ${figure(events / seconds)} events/s, about ${figure(left)} s left`,
    );
  }
}
