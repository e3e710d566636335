import { relative } from 'node:path';
import { plain } from './child.js';

/** What a suite came to. Names are for a person to read. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
  skippedNames: string[];
  failedNames: string[];
}

export const nothing: Counts = { passed: 0, failed: 0, skipped: 0, skippedNames: [], failedNames: [] };

export function add(a: Counts, b: Counts): Counts {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
    skippedNames: [...a.skippedNames, ...b.skippedNames],
    failedNames: [...a.failedNames, ...b.failedNames],
  };
}

/** The part of vitest's JSON report that is counted. */
interface VitestReport {
  testResults: Array<{
    name: string;
    status: string;
    message?: string;
    assertionResults: Array<{ status: string; fullName: string }>;
  }>;
}

/**
 * Counts a run of vitest. A file that failed without a failed test of its own (it did not load, a hook broke) is one failure, and so
 * is a runner that ended badly although every test passed, or that ran no test.
 * @param report content of its JSON report; undefined when there is none
 * @param exitCode of the runner; undefined when it was killed
 * @param output of the runner: the only place where it tells of errors that belong to no test
 */
export function countVitest(
  suite: string,
  report: string | undefined,
  { code: exitCode, output = '' }: { code: number | undefined; output?: string },
  root: string,
): Counts {
  const counts = structuredClone(nothing);
  const parsed = report === undefined ? undefined : (JSON.parse(report) as VitestReport);
  for (const file of parsed?.testResults ?? []) {
    const name = relative(root, file.name);
    const before = counts.failed;
    for (const { status, fullName } of file.assertionResults) {
      if (status === 'passed') counts.passed += 1;
      else if (status === 'failed') {
        counts.failed += 1;
        counts.failedNames.push(`${name}: ${fullName}`);
      } else {
        counts.skipped += 1;
        counts.skippedNames.push(`${name}: ${fullName}`);
      }
    }
    if (file.status === 'failed' && counts.failed === before) {
      counts.failed += 1;
      counts.failedNames.push(`${name}: ${file.message?.split('\n')[0] || 'the file failed'}`);
    }
  }
  const unhandled = unhandledErrors(output);
  if (unhandled.length > 0) {
    counts.failed += 1;
    counts.failedNames.push(`${suite}: errors that no test handled:${indented(unhandled)}`);
  }
  const counted = badEnd(suite, counts, exitCode);
  if (counts.failed > 0 || counted.failed === 0 || output === '') return counted;
  const [why] = counted.failedNames;
  return { ...counted, failedNames: [`${why}; what it said last:${indented(linesOf(output).slice(-LINES_TOLD))}`] };
}

/** Lines of output repeated with the result: enough for a message and its stack. */
const LINES_TOLD = 60;

const linesOf = (output: string) => plain(output).split('\n').filter(Boolean);
const indented = (lines: readonly string[]) => lines.map((line) => `\n    ${line}`).join('');

/** What vitest prints under that heading, far above: nothing else says why a run ended badly in which every test passed. */
function unhandledErrors(output: string): string[] {
  const [, section = ''] = plain(output).split(/^⎯+ Unhandled Errors ⎯+$/m);
  const [text = ''] = section.split(/^⎯+$/m);
  return linesOf(text).slice(0, LINES_TOLD);
}

/** Counts a run of forge by its closing line. */
export function countForge(output: string, exitCode: number | undefined): Counts {
  const counts = structuredClone(nothing);
  const lines = [...plain(output).matchAll(/(\d+) tests? passed, (\d+) failed, (\d+) skipped \(\d+ total tests?\)/g)];
  const last = lines.at(-1);
  if (last) {
    counts.passed = Number(last[1]);
    counts.failed = Number(last[2]);
    counts.skipped = Number(last[3]);
  }
  for (const [, name] of plain(output).matchAll(/^\[FAIL[^\]]*\] (\S+)/gm)) {
    if (!counts.failedNames.includes(`contracts: ${name}`)) counts.failedNames.push(`contracts: ${name}`);
  }
  for (const [, name] of plain(output).matchAll(/^\[SKIP[^\]]*\] (\S+)/gm))
    counts.skippedNames.push(`contracts: ${name}`);
  return badEnd('contracts', counts, exitCode);
}

/** Counts a campaign of chaos runs by its JSON report: each run is one test, and fails by what was found in it. */
export function countChaos(report: string | undefined, exitCode: number | undefined): Counts {
  const counts = structuredClone(nothing);
  const { runs = [] } = (report === undefined ? {} : JSON.parse(report)) as {
    runs?: { scenario: string; seed: number; findings: { kind: string; text: string }[] }[];
  };
  for (const { scenario, seed, findings } of runs) {
    const [first] = findings;
    if (first === undefined) counts.passed += 1;
    else {
      counts.failed += 1;
      counts.failedNames.push(
        `chaos: ${scenario}, seed ${seed}: ${findings.length} findings, first ${first.kind}: ${first.text}`,
      );
    }
  }
  return badEnd('chaos', counts, exitCode);
}

function badEnd(suite: string, counts: Counts, exitCode: number | undefined): Counts {
  if (counts.failed > 0) return counts;
  const why =
    exitCode !== 0
      ? `the runner ended with ${exitCode ?? 'a signal'} although no test failed`
      : counts.passed + counts.skipped === 0
        ? 'no test was found'
        : undefined;
  return why ? { ...counts, failed: 1, failedNames: [`${suite}: ${why}`] } : counts;
}

/** The closing line. */
export function closingLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
