import { isSend } from '../proxy/fates.js';
import type { Scenario } from '../run.js';

export const rpc: Scenario[] = [
  {
    name: 'rpc',
    about:
      'messages to the node cut, delayed, doubled, answered after the connection broke, answered with 429, 500 or garbage',
    rows: [7],
    fate(message, front, dice) {
      const roll = dice.below(100);
      // Heads and blocks are asked for all the time: the indexer gets its share, but must not be kept from following at all.
      if (roll >= (isSend(message) ? 45 : front === 'indexer' ? 2 : 10)) return { kind: 'pass' };
      const kind = dice.of(['cut', 'delay', 'duplicate', 'lose-answer', 'lose-answer', 'status', 'garbage'] as const);
      if (kind === 'delay') return { kind, ms: 50 + dice.below(1_200) };
      if (kind === 'status') return { kind, status: dice.of([429, 500] as const) };
      return { kind };
    },
  },
  {
    name: 'silence',
    about:
      'messages to the node that never arrive, or whose answer never comes: ten seconds each until the gateway gives up',
    rows: [7],
    seconds: 14,
    fate(message, front, dice) {
      if (front === 'indexer' || dice.below(100) >= (isSend(message) ? 25 : 4)) return { kind: 'pass' };
      return { kind: dice.of(['drop', 'silence'] as const) };
    },
  },
];
