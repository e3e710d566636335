import { describe, expect, it } from 'vitest';
import { ZERO_HEAD } from '../../../../libs/proof/src/head.js';
import { genesisOf, makeBlock } from '../../test/chain-model.js';
import { LedgerModel, type ModelRecord, modelContract, Random, words } from '../../test/ledger-model.js';
import { extend, MemoryMirror } from '../../test/memory-mirror.js';
import { plainFold } from '../../test/tree-run.js';
import type { FetchedLog } from '../follow/chain-source.js';
import { verifyBlock } from './block.verifier.js';
import { type FoldedBlock, foldBlock } from './ledger.fold.js';
import { MismatchError } from './mismatch.error.js';

const random = new Random(3);
const genesis = genesisOf(modelContract(), random);

/** A block of a chain whose own consensus says these are the logs: only the ledger's rules can find fault. */
function blockOf(logs: (ledger: LedgerModel) => FetchedLog[]): FoldedBlock {
  const ledger = LedgerModel.empty(modelContract());
  const { fetched } = makeBlock(genesis, ledger, [logs(ledger)], random);
  const verified = verifyBlock(fetched, { contract: modelContract(), keepRaw: false, proveSenders: false });
  return foldBlock({ sequence: 0n, head: ZERO_HEAD }, verified);
}

async function commit(block: FoldedBlock): Promise<void> {
  await extend(new MemoryMirror(plainFold([genesis])[0] as FoldedBlock), { blocks: [block], finalNumber: 0n });
}

const query = (version: number) => [version, 1, 600, Buffer.alloc(32)];

describe('folding the ledger', () => {
  it('accepts a history whose sequence and heads are whole', async () => {
    const block = blockOf((ledger) => [...ledger.execute(random, 12), ...ledger.execute(random, 12)]);
    expect(block.state.sequence).toBe(24n);
    await expect(commit(block)).resolves.toBeUndefined();
  });

  it.each<[string, (ledger: LedgerModel) => FetchedLog[]]>([
    [
      'a gap in the sequence',
      (ledger) => [
        ledger.open(random),
        ledger.emit(random, 'VoteCast', [Buffer.alloc(32), 1, 2], undefined, { sequence: 3n }),
        ledger.headLog(),
      ],
    ],
    [
      'a sequence that comes twice',
      (ledger) => [
        ledger.open(random),
        ledger.emit(random, 'VoteCast', [Buffer.alloc(32), 1, 2], undefined, { sequence: 1n }),
        ledger.headLog(),
      ],
    ],
    [
      'a head that is not the fold of the events',
      (ledger) => [ledger.open(random), { ...ledger.headLog(), data: words(1n, Buffer.alloc(32, 1)) }],
    ],
    [
      'a head of another sequence',
      (ledger) => [ledger.open(random), { ...ledger.headLog(), data: words(2n, ledger.headLog().data.subarray(32)) }],
    ],
    ['a transaction that does not end with a head', (ledger) => [ledger.open(random)]],
    [
      'an event nobody knows',
      (ledger) => [
        { address: modelContract(), topics: [Buffer.alloc(32, 5)], data: Buffer.alloc(0) },
        ledger.headLog(),
      ],
    ],
    ['an event of the wrong shape', (ledger) => [{ ...ledger.open(random), data: Buffer.alloc(64) }, ledger.headLog()]],
  ])('finds %s', (_name, logs) => {
    expect(() => blockOf(logs)).toThrow(MismatchError);
  });

  it.each<[string, (ledger: LedgerModel) => FetchedLog]>([
    [
      'a gap in a record’s own sequence',
      (ledger) => ledger.emit(random, 'RecordQueried', query(1), ledger.anyRecord(random), { recordSequence: 3n }),
    ],
    [
      'a record’s event told twice',
      (ledger) => ledger.emit(random, 'RecordQueried', query(1), ledger.anyRecord(random), { recordSequence: 1n }),
    ],
    [
      'another record head',
      (ledger) =>
        ledger.emit(random, 'RecordQueried', query(1), ledger.anyRecord(random), { recordHead: Buffer.alloc(32, 8) }),
    ],
    [
      'a change of a record that was never opened',
      (ledger) =>
        ledger.emit(random, 'RecordClosed', [1], {
          ...(ledger.anyRecord(random) as ModelRecord),
          id: Buffer.alloc(32, 1),
          sequence: 0n,
          head: ZERO_HEAD,
        }),
    ],
  ])('finds %s', async (_name, act) => {
    const block = blockOf((ledger) => [ledger.open(random), act(ledger), ledger.headLog()]);
    await expect(commit(block)).rejects.toThrow(MismatchError);
  });
});
