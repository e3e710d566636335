import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { FoldedBlock } from '../src/verify/ledger.fold.js';
import { Random } from './ledger-model.js';
import { MemoryMirror } from './memory-mirror.js';
import { mortal, plainFold, runTree, seededTree } from './tree-run.js';
import { contentOf, judge, type Verdict } from './tree-verdict.js';

// They wait for each other's turns more than they compute.
const AT_ONCE = 20;
const DEATH_PERCENT = 6;

export interface TreesReport extends Verdict {
  trees: number;
  firstSeed: number;
  seconds: number;
  blocks: number;
  events: number;
  reorganisations: number;
  deepest: number;
  deaths: number;
  restarts: number;
  /** Seeds of trees that ended otherwise than they must. */
  failed: { seed: number; why: string }[];
}

/** Grows seeded trees, mirrors each in memory, and adds up how far the mirrors are from the chains. */
export async function growTrees(
  trees: number,
  firstSeed: number,
  onProgress: (report: TreesReport) => void = () => undefined,
): Promise<TreesReport> {
  const began = performance.now();
  const report: TreesReport = {
    trees: 0,
    firstSeed,
    seconds: 0,
    blocks: 0,
    events: 0,
    reorganisations: 0,
    deepest: 0,
    deaths: 0,
    restarts: 0,
    missing: 0,
    double: 0,
    stale: 0,
    lost: 0,
    rows: 0,
    failed: [],
  };
  let next = firstSeed;
  const worker = async () => {
    while (next < firstSeed + trees) {
      await oneTree(next++, report);
      report.trees++;
      report.seconds = Math.round((performance.now() - began) / 100) / 10;
      onProgress(report);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return report;
}

async function oneTree(seed: number, report: TreesReport): Promise<void> {
  try {
    const tree = seededTree(seed);
    const mirror = new MemoryMirror(plainFold([tree.source.genesis])[0] as FoldedBlock);
    const lives = new Random(seed ^ 0xdead);
    const run = await runTree(tree, async () => mortal(mirror, lives, DEATH_PERCENT));
    const content = contentOf(mirror);
    const verdict = await judge(run, content);
    for (const key of ['missing', 'double', 'stale', 'lost', 'rows'] as const) report[key] += verdict[key];
    for (const key of ['blocks', 'reorganisations', 'deaths', 'restarts'] as const) report[key] += run[key];
    report.events += content.events.length;
    report.deepest = Math.max(report.deepest, run.deepest);
    if (Object.values(verdict).some((count) => count > 0)) report.failed.push({ seed, why: JSON.stringify(verdict) });
  } catch (error) {
    report.failed.push({ seed, why: (error as Error).message });
  }
}

/** `npm run indexer:trees`. @returns exit code */
export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      trees: { type: 'string', default: '1000' },
      seed: { type: 'string', default: '1' },
      json: { type: 'string' },
    },
  });
  const trees = positive('--trees', values.trees);
  const seed = positive('--seed', values.seed);
  let said = 0;
  const report = await growTrees(trees, seed, (now) => {
    if (now.seconds - said < 10) return;
    said = now.seconds;
    process.stderr.write(`${now.trees} of ${trees} trees, ${now.seconds} s: ${summary(now)}\n`);
  });
  for (const { seed: failed, why } of report.failed) {
    process.stderr.write(`seed ${failed}: ${why}\n  again: npm run indexer:trees -- --trees 1 --seed ${failed}\n`);
  }
  if (values.json) {
    const machine = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length };
    await writeFile(values.json, `${JSON.stringify({ ...report, machine }, null, 2)}\n`);
  }
  process.stdout.write(
    `${report.trees} trees (seeds ${seed} to ${seed + trees - 1}), ${report.blocks} blocks, ${report.reorganisations} reorganisations up to ` +
      `${report.deepest} deep, ${report.deaths} deaths, ${report.restarts} restarts, ${report.seconds} s: ${summary(report)}\n`,
  );
  return report.failed.length === 0 ? 0 : 1;
}

function summary({ missing, double, stale, lost, rows, failed }: TreesReport): string {
  return `${missing} missing, ${double} double, ${stale} stale, ${lost} lost, ${rows} wrong rows, ${failed.length} trees failed`;
}

/** @throws RangeError */
function positive(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0 && value < 2 ** 31) return value;
  throw new RangeError(`${name} takes a positive whole number, not ${text}`);
}
