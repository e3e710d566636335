import type { Dice } from '../dice.js';
import { isStopped, type Run, type Scenario, until } from '../run.js';
import type { ProgramName } from '../stack/programs.js';

/** Early in the life of a process, so that it is killed often: starting again is what takes the time. */
const often = (dice: Dice, names: string[], most = 6) => `${dice.of(names)}:${1 + dice.below(most)}`;
const atGateway =
  (names: string[], most?: number) =>
  (name: ProgramName, dice: Dice): string | undefined =>
    name === 'indexer' ? undefined : often(dice, names, most);

const GATEWAYS = ['gateway-1', 'gateway-2'] as const;

export const kills: Scenario[] = [
  {
    name: 'accept',
    about: 'both gateways killed again and again right before and after the commit that accepts',
    seconds: 12,
    rows: [1, 2],
    failpoint: atGateway(['before-accept-commit', 'after-accept-commit'], 8),
  },
  {
    name: 'sign',
    about: 'killed before and after the commit of the signed bytes',
    seconds: 12,
    rows: [3, 5],
    failpoint: atGateway(['before-attempt-commit', 'after-attempt-commit'], 10),
  },
  {
    name: 'external',
    about: 'an external signer: killed between the commit that binds the nonces and the one that stores the bytes',
    seconds: 12,
    rows: [4],
    signer: 'external',
    failpoint: atGateway(['after-assignment-commit'], 3),
  },
  {
    name: 'send',
    about: 'killed after the send, before and after it is noted',
    seconds: 12,
    rows: [6],
    failpoint: atGateway(['after-send', 'after-sent-recorded'], 10),
  },
  {
    name: 'index',
    about: 'the indexer killed before, in and after its commit',
    rows: [8],
    failpoint: (name, dice) =>
      name === 'indexer'
        ? often(dice, ['before-mirror-commit', 'in-mirror-commit', 'in-mirror-commit', 'after-mirror-commit'], 10)
        : undefined,
  },
  {
    name: 'rolling',
    about: 'the two gateways killed in turn at random moments, now and then together',
    rows: [16],
    async inject(run: Run) {
      for (let round = 0; round < 5; round += 1) {
        await run.rest(200, 1_500);
        await run.kill(run.dice.of(GATEWAYS));
        if (run.dice.below(3) === 0) await Promise.all(GATEWAYS.map((name) => run.kill(name)));
      }
    },
  },
  {
    name: 'pause',
    about: 'gateways stopped in the middle of signing and sending, woken with what they then still believe',
    rows: [17],
    seconds: 12,
    failpoint: (name, dice) =>
      name === 'indexer'
        ? undefined
        : `${often(dice, ['before-attempt-commit', 'after-attempt-commit', 'after-send'], 8)}:stop`,
    async inject(run: Run) {
      for (let round = 0; round < 3; round += 1) {
        await run.rest(200, 2_000);
        await run.pause(run.dice.of([...GATEWAYS, 'indexer'] as const), 300 + run.dice.below(2_500));
      }
    },
  },
  {
    name: 'frozen',
    about: 'one gateway stopped in the middle and left so: the other must carry every act on',
    rows: [17],
    seconds: 5,
    stopMs: [26_000, 30_000],
    failpoint: (name, dice) =>
      name === 'gateway-2'
        ? `${dice.of(['before-attempt-commit', 'after-attempt-commit', 'after-send'])}:2:stop`
        : undefined,
    async inject(run: Run) {
      const { programs } = run.stack;
      if (!(await until(async () => isStopped(programs.byName('gateway-2').pid()), 15_000))) return;
      // One that starts now finds the other's locks and half-done work.
      if (run.dice.below(3) > 0) await run.kill('gateway-1', [16]);
      await run.rest(18_000, 20_000);
      // The transaction of a stalled process ends after ten seconds; then its locks hold up nobody.
      const waiting = await run.sql<{ id: string }>(
        `SELECT id FROM gateway.operation WHERE phase = 'accepted' AND created_at < now() - interval '15 seconds'`,
      );
      if (waiting.length === 0) return;
      run.findings.push({ kind: 'stuck', text: `${waiting.length} acts wait while one of two gateways is stopped` });
      await run.noteWaiting();
    },
  },
];
