import type { Dice } from '../../../chaos/dice.js';
import type { E2eStack } from '../hospitals.js';

export const targets = ['gateway', 'indexer', 'postgres', 'node'] as const;
export type Target = (typeof targets)[number];

export interface Kill {
  target: Target;
  pid: number;
}

/** How long the programs have to be of use again before the next kill comes anyhow. */
const RECOVERY_MS = 20_000;

/**
 * SIGKILL at random moments to each of hospital A's gateway, indexer, local node and Postgres, `rounds` times each; now and
 * then to two at once. The stack's supervisors start them again; mostly, but not always, the next kill waits until acts are
 * carried again, or a slow machine would see a load that is never served.
 */
export async function killAtRandom(e2e: E2eStack, dice: Dice, rounds: number): Promise<Kill[]> {
  const kills: Kill[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const order = dice.shuffled(targets);
    for (let next = order.shift(); next; next = order.shift()) {
      if (dice.below(5) > 0)
        await Promise.all([e2e.a.gateway, e2e.a.indexer].map((it) => it.ready(RECOVERY_MS).catch(() => {})));
      await new Promise((wake) => setTimeout(wake, 200 + dice.below(3_500)));
      kills.push(await kill(e2e, next));
      if (order.length > 0 && dice.below(4) === 0) kills.push(await kill(e2e, order.shift() as Target));
    }
  }
  return kills;
}

/** Kills what runs; what is just being started again is waited for. */
async function kill(e2e: E2eStack, target: Target): Promise<Kill> {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; ) {
    const pid = pidOf(e2e, target);
    if (target === 'postgres') {
      await e2e.stack.postgres.kill();
      return { target, pid };
    }
    try {
      if (pid > 0) {
        process.kill(pid, 'SIGKILL');
        return { target, pid };
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
    await new Promise((wake) => setTimeout(wake, 20));
  }
  throw new Error(`${target} was not started again in a minute`);
}

function pidOf({ stack, a }: E2eStack, target: Target): number {
  if (target === 'gateway') return a.gateway.pid();
  if (target === 'indexer') return a.indexer.pid();
  if (target === 'postgres') return stack.postgres.pid;
  const title = a.layout.title;
  return stack.chains.pids().find((node) => node.title === `${title}, local node`)?.pid ?? 0;
}
