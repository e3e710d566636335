import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Operation, Reason } from '../src/operations.js';
import { type ParametersOf, parameters } from '../src/parameters.js';
import { A, B, expectDenied, record, TestLedger, word, ZERO } from './ledger.js';

let ledger: TestLedger;
let actors: TestLedger['actors'];
beforeAll(async () => {
  ledger = await TestLedger.start();
  actors = ledger.actors;
});
afterAll(() => ledger?.stop());

type Anchor = ParametersOf<'anchorLedger'>;

const first: Anchor = {
  ...{ localChainId: 7n, block: 10n, blockHash: word('block 10') },
  ...{ previousSequence: 0n, previousHead: ZERO, localSequence: 5n, localHead: word('head 5') },
  ...{ accessSequence: 0n, accessHead: ZERO },
};
const second: Anchor = {
  ...{ localChainId: 7n, block: 12n, blockHash: word('block 12') },
  ...{ previousSequence: 5n, previousHead: word('head 5'), localSequence: 9n, localHead: word('head 9') },
  ...{ accessSequence: 3n, accessHead: word('access 3') },
};
const anchor = (values: Anchor, actor = actors.registrarA, via = A) =>
  ledger.act(actor, Operation.ANCHOR_LEDGER, parameters.anchorLedger(values), { via });

describe('an anchor', () => {
  it('begins at nothing, and says what it is given', async () => {
    expectDenied(await anchor(second), Reason.ANCHOR_BROKEN);
    expect(await anchor(first)).toMatchObject({ type: 'LedgerAnchored', hospital: A, ...first });
  });

  it('is refused unless it continues the last one', async () => {
    const broken: Partial<Anchor>[] = [
      { previousSequence: 4n },
      { previousSequence: 6n },
      { previousHead: word('another history') },
      { block: 9n },
      { localSequence: 4n },
      // As many events as before, and other ones.
      { localSequence: 5n },
      // Entries that were none before, without there being more.
      { accessSequence: 0n },
    ];
    for (const fields of broken) expectDenied(await anchor({ ...second, ...fields }), Reason.ANCHOR_BROKEN);
    expect(await anchor(second)).toMatchObject({ type: 'LedgerAnchored', ...second });
    expectDenied(await anchor(second), Reason.ANCHOR_BROKEN);
  });

  it('may be of the access log alone, and of nothing it may not', async () => {
    const still = { ...second, previousSequence: 9n, previousHead: word('head 9') };
    expectDenied(await anchor(still), Reason.ALREADY_SO);
    expectDenied(await anchor({ ...still, accessSequence: 2n }), Reason.ANCHOR_BROKEN);
    expectDenied(await anchor({ ...still, accessHead: word('another log') }), Reason.ANCHOR_BROKEN);
    const looked = { ...still, accessSequence: 4n, accessHead: word('access 4') };
    expect(await anchor(looked)).toMatchObject({ type: 'LedgerAnchored', accessSequence: 4n, localSequence: 9n });
  });

  it('is of one network of one hospital', async () => {
    expect(await anchor({ ...first, localChainId: 8n })).toMatchObject({ type: 'LedgerAnchored', localChainId: 8n });
    expect(await anchor(first, actors.registrarB, B)).toMatchObject({ type: 'LedgerAnchored', hospital: B });
  });

  it('is the registrar’s to give, for their own hospital', async () => {
    const more = { ...first, localChainId: 9n };
    expectDenied(await anchor(more, actors.clinicianA), Reason.NOT_REGISTRAR);
    expectDenied(await anchor(more, actors.registrarB), Reason.NOT_REGISTRAR);
    expectDenied(await anchor(more, actors.registrarA, B), Reason.NOT_REGISTRAR);
  });

  it('has numbers that a database can hold, and names no record', async () => {
    for (const field of ['localChainId', 'block', 'previousSequence', 'localSequence', 'accessSequence'] as const) {
      expectDenied(await anchor({ ...first, localChainId: 10n, [field]: 2n ** 63n }), Reason.MALFORMED);
    }
    const encoded = parameters.anchorLedger({ ...first, localChainId: 10n });
    const act = (bytes: Buffer, recordId = ZERO) =>
      ledger.act(actors.registrarA, Operation.ANCHOR_LEDGER, bytes, { recordId });
    expectDenied(await act(encoded, record(A, 'one')), Reason.MALFORMED);
    expectDenied(await act(encoded.subarray(32)), Reason.MALFORMED);
  });
});
