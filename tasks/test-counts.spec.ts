import { describe, expect, it } from 'vitest';
import { add, closingLine, countChaos, countForge, countVitest, nothing } from './test-counts.js';

const report = (...files: Array<{ name: string; status: string; statuses: string[]; message?: string }>) =>
  JSON.stringify({
    testResults: files.map(({ name, status, statuses, message }) => ({
      name: `/repo/${name}`,
      status,
      message,
      assertionResults: statuses.map((it, index) => ({ status: it, fullName: `test ${index}` })),
    })),
  });

describe('counting vitest', () => {
  it('counts what passed, failed and was skipped, and names the last two', () => {
    const text = report(
      { name: 'a.spec.ts', status: 'failed', statuses: ['passed', 'failed', 'skipped', 'todo', 'pending'] },
      { name: 'b.spec.ts', status: 'passed', statuses: ['passed'] },
    );
    expect(countVitest('unit', text, { code: 1 }, '/repo')).toEqual({
      passed: 2,
      failed: 1,
      skipped: 3,
      failedNames: ['a.spec.ts: test 1'],
      skippedNames: ['a.spec.ts: test 2', 'a.spec.ts: test 3', 'a.spec.ts: test 4'],
    });
  });

  it('counts a file that did not load as a failure', () => {
    const text = report({ name: 'a.spec.ts', status: 'failed', statuses: [], message: 'Cannot find module\nat x' });
    expect(countVitest('unit', text, { code: 1 }, '/repo')).toMatchObject({
      failed: 1,
      failedNames: ['a.spec.ts: Cannot find module'],
    });
  });

  it.each([
    ['no test was found', report(), 0],
    ['no test was found', undefined, 0],
    [
      'the runner ended with 1 although no test failed',
      report({ name: 'a', status: 'passed', statuses: ['passed'] }),
      1,
    ],
    ['the runner ended with a signal although no test failed', undefined, undefined],
  ])('never takes silence for success: %s', (why, text, code) => {
    expect(countVitest('unit', text, { code }, '/repo')).toMatchObject({ failed: 1, failedNames: [`unit: ${why}`] });
  });
});

describe('counting vitest: errors that belong to no test', () => {
  const all = report({ name: 'a', status: 'passed', statuses: ['passed'] });
  const section = `stderr | ⎯ not it
\u001b[31m⎯⎯⎯⎯⎯⎯ Unhandled Errors ⎯⎯⎯⎯⎯⎯\u001b[39m

Vitest caught 1 unhandled error during the test run.

⎯⎯⎯⎯⎯⎯ Unhandled Rejection ⎯⎯⎯⎯⎯
Error: nobody waited for me
 ❯ test/a.spec.ts:3:1
⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯

 Test Files  1 passed (1)`;

  it('are one failure, and told whole', () => {
    const { failed, failedNames } = countVitest('unit', all, { code: 1, output: section }, '/repo');
    expect(failed).toBe(1);
    expect(failedNames[0]).toMatch(/^unit: errors that no test handled:\n/);
    expect(failedNames[0]).toMatch(/nobody waited for me\n.*a\.spec\.ts:3:1$/);
  });

  it('are told beside a test that failed', () => {
    const text = report({ name: 'a.spec.ts', status: 'failed', statuses: ['failed'] });
    expect(countVitest('unit', text, { code: 1, output: section }, '/repo').failedNames).toHaveLength(2);
  });
});

it('a runner that ends badly without a word of why is quoted', () => {
  const all = report({ name: 'a', status: 'passed', statuses: ['passed'] });
  const output = `${Array.from({ length: 200 }, (_, line) => `line ${line}`).join('\n')}\nUnhandled Rejection\nError: out of the blue\n`;
  const { failed, failedNames } = countVitest('unit', all, { code: 1, output }, '/repo');
  expect(failed).toBe(1);
  expect(failedNames[0]).toMatch(/^unit: the runner ended with 1 although no test failed; what it said last:\n/);
  expect(failedNames[0]).toMatch(/ line 199\n.*Unhandled Rejection\n.*out of the blue$/);
  expect(failedNames[0]).not.toContain(' line 100\n');
});

describe('counting forge', () => {
  it('reads the closing line, not those of the suites', () => {
    const output = `[PASS] test_a() (gas: 1)
Suite result: ok. 3 passed; 0 failed; 0 skipped
[FAIL: no] test_b() (gas: 1)
\u001b[31mRan 2 test suites in 1.2s: 9 tests passed, 1 failed, 0 skipped (10 total tests)\u001b[0m`;
    expect(countForge(output, 1)).toMatchObject({ passed: 9, failed: 1, failedNames: ['contracts: test_b()'] });
  });

  it('takes a crash for a failure', () => {
    expect(countForge('Compiler run failed', 1)).toMatchObject({ passed: 0, failed: 1 });
    expect(countForge('', 0)).toMatchObject({ failed: 1, failedNames: ['contracts: no test was found'] });
  });
});

describe('the closing line', () => {
  it('names skipped tests only when there are some', () => {
    expect(closingLine({ ...nothing, passed: 3 })).toBe('3 passed, 0 failed');
    expect(closingLine(add({ ...nothing, skipped: 2 }, { ...nothing, passed: 1, failed: 1 }))).toBe(
      '1 passed, 1 failed, 2 skipped',
    );
  });
});

describe('counting chaos runs', () => {
  const run = (scenario: string, ...findings: { kind: string; text: string }[]) => ({ scenario, seed: 7, findings });

  it('counts each run, and names what went wrong first', () => {
    const report = JSON.stringify({ runs: [run('accept'), run('send', { kind: 'lost', text: 'one act' })] });
    expect(countChaos(report, 1)).toEqual({
      ...nothing,
      passed: 1,
      failed: 1,
      failedNames: ['chaos: send, seed 7: 1 findings, first lost: one act'],
    });
  });

  it('counts a campaign without a report, without runs or with a bad end as failed', () => {
    expect(countChaos(undefined, 1)).toMatchObject({ passed: 0, failed: 1 });
    expect(countChaos(JSON.stringify({ runs: [] }), 0)).toMatchObject({ passed: 0, failed: 1 });
    expect(countChaos(JSON.stringify({ runs: [run('accept')] }), undefined)).toMatchObject({ passed: 1, failed: 1 });
  });
});
