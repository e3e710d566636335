import { describe, expect, it } from 'vitest';
import { shapeFrom } from './network.command.js';
import { UsageError } from './usage.error.js';

describe('the options of a network', () => {
  it('default to three Clique nodes', () =>
    expect(shapeFrom({})).toEqual({ consensus: 'clique', nodes: 3, chainId: 80 }));

  it('are those of its consensus', () => {
    expect(shapeFrom({ period: '0', nodes: '1' })).toMatchObject({ period: 0, nodes: 1 });
    expect(shapeFrom({ consensus: 'pow', difficulty: '262144' })).toMatchObject({ difficulty: 262_144 });
  });

  it.each([
    ['--consensus takes clique or pow', { consensus: 'poa' }],
    ['--period has no place here', { consensus: 'pow', period: '1' }],
    ['--difficulty has no place here', { difficulty: '131072' }],
    ['--nodes takes a whole number from 1 to 20, not "0"', { nodes: '0' }],
    ['--difficulty takes a whole number from 131072', { consensus: 'pow', difficulty: '512' }],
  ])('%s', (message, values) => {
    expect(() => shapeFrom(values)).toThrow(message);
    expect(() => shapeFrom(values)).toThrow(UsageError);
  });
});
