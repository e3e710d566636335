import { defineTable } from '../commit/table.js';
import { type Projection, unexpected } from './projection.js';

const table = defineTable('relayer', { address: 'bytea', hospital: 'int8', active: 'bool' }, ['address']);

/** Which addresses may carry a hospital's acts to the ledger. */
export const relayers: Projection<typeof table.columns> = {
  table,
  keyOf: (event) => (event.type === 'RelayerChanged' ? [event.relayer] : undefined),
  begins: () => true,
  apply(_previous, { event }) {
    if (event.type !== 'RelayerChanged') throw unexpected(event);
    return { address: event.relayer, hospital: BigInt(event.id), active: event.active };
  },
};
