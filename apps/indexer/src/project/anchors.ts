import { defineTable } from '../commit/table.js';
import { type Projection, unexpected } from './projection.js';

const table = defineTable(
  'anchor',
  {
    sequence: 'int8',
    hospital: 'int8',
    chainId: 'int8',
    blockNumber: 'int8',
    blockTime: 'int8',
    localBlock: 'int8',
    localBlockHash: 'bytea',
    previousSequence: 'int8',
    previousHead: 'bytea',
    localSequence: 'int8',
    localHead: 'bytea',
    accessSequence: 'int8',
    accessHead: 'bytea',
  },
  ['sequence'],
);

/** How far every hospital's own ledger and access log had come, each time one was anchored. A row is of one event, and gone with it. */
export const anchors: Projection<typeof table.columns> = {
  table,
  keyOf: (event) => (event.type === 'LedgerAnchored' ? [event.sequence] : undefined),
  begins: () => true,
  apply(_previous, { event, block }) {
    if (event.type !== 'LedgerAnchored') throw unexpected(event);
    return {
      sequence: event.sequence,
      hospital: BigInt(event.hospital),
      chainId: event.localChainId,
      blockNumber: block.number,
      blockTime: block.time,
      localBlock: event.block,
      localBlockHash: event.blockHash,
      previousSequence: event.previousSequence,
      previousHead: event.previousHead,
      localSequence: event.localSequence,
      localHead: event.localHead,
      accessSequence: event.accessSequence,
      accessHead: event.accessHead,
    };
  },
};
