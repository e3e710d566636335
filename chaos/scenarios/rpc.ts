import { isSend } from '../proxy/fates.js';
import type { Scenario } from '../scenario.js';

export const rpc: Scenario[] = [
  {
    name: 'rpc',
    about:
      'messages to the node cut, delayed, doubled, answered after the connection broke, answered with 429, 500 or garbage',
    rows: [7],
    fate(message, front, dice) {
      const roll = dice.below(100);
      // Heads and blocks are asked for all the time: the indexer gets its share, but must not be kept from following at all.
      if (roll >= (isSend(message) ? 35 : front === 'indexer' ? 2 : 8)) return { kind: 'pass' };
      const kind = dice.of(['cut', 'delay', 'duplicate', 'lose-answer', 'lose-answer', 'status', 'garbage'] as const);
      if (kind === 'delay') return { kind, ms: 50 + dice.below(1_200) };
      if (kind === 'status') return { kind, status: dice.of([429, 500] as const) };
      return { kind };
    },
  },
];
