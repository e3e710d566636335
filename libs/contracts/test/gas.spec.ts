import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { deployedSize } from '../src/generated/emr-ledger.js';
import type { Intent } from '../src/intent.codec.js';
import { gasBound, Operation, Purpose, transactionGas } from '../src/operations.js';
import { parameters } from '../src/parameters.js';
import { A, Actor, B, record, TestLedger, word, ZERO } from './ledger.js';

// Everything that goes in is fixed (keys, times, chain id, contract address), so the numbers are exact.
// After a change that is meant: UPDATE_SNAPSHOTS=1 npx vitest run --project unit libs/contracts/test/gas.spec.ts
const file = new URL('../snapshots/gas.json', import.meta.url);

interface Cost {
  /** Of a transaction with this act alone, every slot cold. */
  gas: number;
  /** The static bound that was its gas limit. */
  bound: number;
  /** Of the calldata one such act adds to a batch. */
  bytes: number;
}

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await TestLedger.start();
});
afterAll(() => ledger?.stop());

it('costs what the snapshot says, and no more than the static bounds', async () => {
  const costs: Record<string, Cost> = {};
  const { actors, accounts } = ledger;
  const recordId = record(A, 'costs');
  const transferId = word('transfer');
  const contentHash = word('content');
  const run = async (name: string, intent: Intent, via = A) => {
    const { events, gasUsed, calldata } = await ledger.send([intent], via);
    if (name !== 'DENIED') expect(events[0], name).not.toMatchObject({ type: 'AccessDenied' });
    costs[name] = { gas: gasUsed, bound: transactionGas([intent]), bytes: calldata.length - 68 };
    expect(gasUsed).toBeLessThanOrEqual(transactionGas([intent]));
  };
  const act = (name: keyof typeof Operation, actor: Actor, encoded: Buffer, id = recordId, via = A) =>
    run(name, ledger.intent(actor, Operation[name], encoded, { recordId: id }), via);

  const subject = actors.patient.address;
  await act(
    'OPEN',
    actors.clinicianA,
    parameters.open({ contentHash, subject, level: 1, origin: word('o'), originBlock: word('b') }),
  );
  await act('RELATE', actors.clinicianA, parameters.relate({ party: actors.colleagueA.address, duration: 3600 }));
  const query = parameters.query({ version: 1, purpose: Purpose.TREAT, ttl: 300, basis: ZERO });
  await act('QUERY', actors.colleagueA, query);
  await run('DENIED', ledger.intent(actors.clinicianB, Operation.QUERY, query, { recordId }), B);
  await act('UNRELATE', actors.clinicianA, parameters.unrelate({ party: actors.colleagueA.address }));
  const amended = word('content 2');
  await act('AMEND', actors.clinicianA, parameters.amend({ expectedVersion: 1, contentHash: amended }));
  await act('CLOSE', actors.recordsA, parameters.close({ reason: 1 }));
  await act('REOPEN', actors.recordsA, parameters.reopen({ reason: 1 }));
  const grant = {
    grantId: word('grant'),
    grantee: actors.clinicianB.address,
    granteeHospital: B,
    operations: 1 << Operation.QUERY,
    purpose: Purpose.TREAT,
    delay: 0,
    duration: 86_400,
    consentHash: word('consent'),
  };
  await act('GRANT', actors.privacyA, parameters.grant(grant));
  const granted = parameters.query({ version: 1, purpose: Purpose.TREAT, ttl: 300, basis: grant.grantId });
  await run('QUERY under a grant', ledger.intent(actors.clinicianB, Operation.QUERY, granted, { recordId }), B);
  // The dearest way to look: a team of the custodian, named by a grant.
  const looking = new Actor('looking team').address;
  const member = { team: looking, member: actors.colleagueA.address, active: true };
  await act('SET_TEAM_MEMBER', actors.registrarA, parameters.setTeamMember(member), ZERO);
  const toTeam = { ...grant, grantId: word('grant to a team'), grantee: looking, granteeHospital: A };
  await act('GRANT', actors.privacyA, parameters.grant(toTeam));
  const byTeam = parameters.query({ version: 1, purpose: Purpose.TREAT, ttl: 300, basis: toTeam.grantId });
  await run('QUERY under a grant to a team', ledger.intent(actors.colleagueA, Operation.QUERY, byTeam, { recordId }));
  await act('REVOKE', actors.privacyA, parameters.revoke({ grantId: grant.grantId, reason: 1 }));

  const transfer = async (id: Buffer, steps: () => Promise<void>) => {
    const proposal = {
      transferId: id,
      toHospital: B,
      version: 2,
      contentHash: amended,
      mode: 0,
      ttl: 60,
      proof: word('p'),
    };
    await act('PROPOSE', actors.clinicianA, parameters.propose(proposal));
    await steps();
  };
  await act('FREEZE', actors.clinicianA, parameters.freeze({ transferId, version: 2, contentHash: amended }));
  await transfer(transferId, async () => {
    await act(
      'ACCEPT',
      actors.clinicianB,
      parameters.accept({ transferId, packageHash: word('package') }),
      recordId,
      B,
    );
    await act('COMPLETE', actors.clinicianA, parameters.complete({ transferId }));
  });
  await act('UNFREEZE', actors.clinicianA, parameters.unfreeze({ transferId, outcome: 0, proof: word('p') }));
  const [second, third, fourth] = [word('transfer 2'), word('transfer 3'), word('transfer 4')];
  await transfer(second, () =>
    act('REJECT', actors.clinicianB, parameters.reject({ transferId: second, reason: 1 }), recordId, B),
  );
  await transfer(third, () => act('CANCEL', actors.clinicianA, parameters.cancel({ transferId: third, reason: 1 })));
  await transfer(fourth, async () => {
    await ledger.later(61);
    await act('EXPIRE', actors.clinicianA, parameters.expire({ transferId: fourth }));
  });

  const account = new Actor('new').address;
  await act('REGISTER_ACTOR', actors.registrarA, parameters.registerActor({ account, roles: 127, custody: 1 }), ZERO);
  await act('SET_ACTOR_STATUS', actors.registrarA, parameters.setActorStatus({ account, active: false }), ZERO);
  const team = new Actor('team').address;
  await act(
    'SET_TEAM_MEMBER',
    actors.registrarA,
    parameters.setTeamMember({ team, member: account, active: true }),
    ZERO,
  );
  const keys = { identityKey: word('i'), transferKey: word('t'), transferKeyId: 2, endpointHash: word('e') };
  await act(
    'UPDATE_HOSPITAL',
    actors.registrarA,
    parameters.updateHospital({ registrar: actors.registrarA.address, ...keys }),
    ZERO,
  );
  await act('SET_RELAYER', actors.registrarA, parameters.setRelayer({ relayer: accounts[6]!, active: true }), ZERO);
  const both = async (name: 'VOTE_ADMIT' | 'VOTE_STATUS' | 'VOTE_THRESHOLD', encoded: Buffer) => {
    await act(name, actors.registrarB, encoded, ZERO, B);
    await act(name, actors.registrarA, encoded, ZERO);
  };
  const admitted = { id: 4, registrar: new Actor('d').address, relayer: accounts[4]! };
  await both('VOTE_ADMIT', parameters.voteAdmit({ ...admitted, ...keys }));
  await both('VOTE_STATUS', parameters.voteStatus({ id: 4, active: false }));
  await both('VOTE_THRESHOLD', parameters.voteThreshold({ threshold: 3 }));

  const zeros = { previousSequence: 0n, previousHead: ZERO };
  const anchor = { localChainId: 7n, block: 9n, blockHash: word('b'), localSequence: 5n, localHead: word('h') };
  await act(
    'ANCHOR_LEDGER',
    actors.registrarA,
    parameters.anchorLedger({ ...zeros, ...anchor, accessSequence: 3n, accessHead: word('l') }),
    ZERO,
  );

  const batch = Array.from({ length: 100 }, () =>
    ledger.intent(actors.clinicianA, Operation.QUERY, query, { recordId }),
  );
  const { gasUsed } = await ledger.send(batch);
  const snapshot = { deployedSize, costs, queriesInABatchOf100: { gasEach: Math.round(gasUsed / 100) } };

  expect(
    Object.keys(Operation).filter((name) => !(name in costs)),
    'operations without a measurement',
  ).toEqual([]);
  if (process.env.UPDATE_SNAPSHOTS) {
    mkdirSync(new URL('.', file), { recursive: true });
    writeFileSync(file, `${JSON.stringify(snapshot, null, 2)}\n`);
  }
  expect(snapshot).toEqual(JSON.parse(readFileSync(file, 'utf8')));
});

it('bounds what is refused for its length, too', async () => {
  for (const length of [0, 1, 31, 33, 320, 5000, 60_000]) {
    for (const operation of [Operation.QUERY, 0, 250]) {
      const intent = ledger.intent(ledger.actors.clinicianA, operation, Buffer.alloc(length, 0xff), {
        recordId: record(A, 'costs'),
      });
      // `send` takes the bound as gas limit and expects success.
      await ledger.send([intent]);
      expect(gasBound(intent)).toBeGreaterThan(0);
    }
  }
});
