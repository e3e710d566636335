import { describe, expect, it } from 'vitest';
import { figuresOf, type Run } from '../figures.js';
import { type Cell, consensuses, difficulties, minerCounts, paths } from '../matrix.js';
import { markdownOf, plotOf } from './report.js';
import { gridSvg } from './svg.js';

/** A run whose times follow from its place in the matrix, so that a mix-up shows in the plot. */
function runOf(cell: Cell, path: (typeof paths)[number], offered: number): Run {
  const ms =
    10 * (consensuses.indexOf(cell.consensus) + 1) * (difficulties.indexOf(cell.difficulty) + 1) * cell.miners +
    (path === 'gateway' ? 5 : 0);
  const samples = Array.from({ length: 10 }, (_, i) => ({ at: i * 100, ms, ok: true }));
  return figuresOf(cell, path, { round: { operation: 'open', count: 10, load: offered }, samples });
}

const runs = consensuses.flatMap((consensus) =>
  difficulties.flatMap((difficulty) =>
    minerCounts.flatMap((miners) =>
      paths.flatMap((path) => [10, 40].map((load) => runOf({ consensus, difficulty, miners }, path, load))),
    ),
  ),
);
const facts = {
  ...{ matrix: 'full', command: 'npm run caliper -- --matrix full', caliper: '0.6.0', web3: '1.3.0' },
  ...{ geth: ['1.11.6', '1.13.15'], measuredCells: 27, cells: 27, seconds: 7_200 },
};
const machine = { cpu: 'a processor', cores: 2, memoryGiB: 24, node: 'v20.20.2' };

describe('the report', () => {
  it('draws latency and throughput over miners, a line for each difficulty and path', async () => {
    await expect(plotOf('open', runs)).toMatchFileSnapshot('open.golden.svg');
  });

  it('draws what there is where a part was measured, without a number that is none', () => {
    const svg = plotOf('open', [runOf({ consensus: 'pow', difficulty: 'high', miners: 2 }, 'direct', 10)]);
    expect(svg.match(/<circle /g)).toHaveLength(2);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  });

  it('is well-formed whatever a title says', () => {
    expect(gridSvg('a < b & c', [[{ title: '<', xTitle: '&', xs: [1], series: [] }]], [])).toContain(
      '<title>a &lt; b &amp; c</title>',
    );
  });

  it('names the machine, the versions and the command, and has a row for every run', () => {
    const text = markdownOf(runs, facts, machine);
    for (const named of [
      '`npm run caliper -- --matrix full`',
      'a processor, 2 cores',
      'geth 1.11.6 and 1.13.15',
      'web3 1.3.0',
    ]) {
      expect(text).toContain(named);
    }
    expect(text.match(/^\| (clique-0|clique-1|pow) \| /gm)).toHaveLength(runs.length);
    expect(text).toContain('No operation failed.');
    expect(text).not.toContain('a part of the matrix');
  });

  it('says when it is of a part of the matrix, and what failed in it', () => {
    const failed = { ...(runs[0] as Run), failures: { AccessDenied: 3 } };
    const text = markdownOf([failed], { ...facts, measuredCells: 1 }, machine);
    expect(text).toContain('1 of 27 networks (a part of the matrix)');
    expect(text).toContain('3 × AccessDenied');
  });
});
