import { describe, expect, it } from 'vitest';
import { cellName, consensuses, difficulties, EXPECTED_HASHES, finalityDepth, matrixOf, operations } from './matrix.js';
import { parseOptions } from './options.js';

describe('the matrix', () => {
  it('holds every consensus, difficulty and number of miners once when it is full', () => {
    const names = matrixOf('full').cells.map(cellName);
    const wanted = consensuses.flatMap((consensus) =>
      difficulties.flatMap((difficulty) => [1, 2, 3].map((miners) => `${consensus}-${difficulty}-${miners}`)),
    );
    expect(names.toSorted()).toEqual(wanted.toSorted());
  });

  it('takes the quick networks from the full ones, and measures every consensus in them', () => {
    const full = matrixOf('full').cells.map(cellName);
    const quick = matrixOf('quick').cells;
    expect(full).toEqual(expect.arrayContaining(quick.map(cellName)));
    expect(new Set(quick.map(({ consensus }) => consensus))).toEqual(new Set(consensuses));
  });

  it('offers each operation at two loads when it is full, at the lower one when it is quick', () => {
    const cell = { consensus: 'clique-1', difficulty: 'low', miners: 1 } as const;
    const full = matrixOf('full').rounds(cell);
    const loads = [...new Set(full.map(({ load }) => load))];
    expect(loads).toHaveLength(2);
    for (const load of loads) {
      expect(full.filter((round) => round.load === load).map(({ operation }) => operation)).toEqual([...operations]);
    }
    expect(matrixOf('quick').rounds(cell)).toEqual(full.filter(({ load }) => load === Math.min(...loads)));
  });

  it('doubles the expected work from one difficulty to the next', () => {
    expect(EXPECTED_HASHES.medium).toBe(2 * EXPECTED_HASHES.low);
    expect(EXPECTED_HASHES.high).toBe(2 * EXPECTED_HASHES.medium);
  });

  it('calls an act confirmed at once only where nothing can be taken back', () => {
    const depth = (consensus: (typeof consensuses)[number], miners: number) =>
      finalityDepth({ consensus, difficulty: 'low', miners });
    expect(consensuses.map((consensus) => depth(consensus, 1))).toEqual([1, 1, 1]);
    expect([depth('clique-1', 2), depth('clique-0', 3), depth('pow', 2)]).toEqual([3, 4, 4]);
  });
});

describe('the options', () => {
  it('measure the whole quick matrix unless told otherwise', () => {
    const options = parseOptions([]);
    expect(options.cells).toEqual(matrixOf('quick').cells);
    expect(options).toMatchObject({ resume: false, json: undefined });
  });

  it('leave the networks that the filters name', () => {
    const { cells } = parseOptions([
      '--matrix',
      'full',
      '--consensus',
      'pow',
      '--difficulty',
      'low,high',
      '--miners',
      '2',
    ]);
    expect(cells.map(cellName)).toEqual(['pow-low-2', 'pow-high-2']);
    const again = parseOptions(['--matrix', 'full', '--miners', '2', '--resume', '--json', 'out.json']);
    expect(again.command).toBe('npm run caliper -- --matrix full --miners 2');
  });

  it.each([
    [['--matrix', 'half'], /quick or full/],
    [['--consensus', 'raft'], /clique-0, clique-1, pow/],
    [['--miners', '4'], /1, 2, 3/],
    [['--matrix', 'quick', '--consensus', 'clique-0', '--miners', '3'], /no network/],
    [['--ports', '80'], /1024/],
  ])('refuse %j and say what is allowed', (args, words) => {
    expect(() => parseOptions(args)).toThrow(words);
  });
});
