import { defineTable } from '../commit/table.js';
import { type Projection, present, unexpected } from './projection.js';

const table = defineTable(
  'transfer',
  {
    transferId: 'bytea',
    recordId: 'bytea',
    fromHospital: 'int8',
    toHospital: 'int8',
    version: 'int4',
    contentHash: 'bytea',
    mode: 'int2',
    expiresAt: 'int8',
    state: 'text',
    packageHash: 'bytea?',
    proposedAt: 'int8',
    stateBlockHash: 'bytea',
  },
  ['transferId'],
);

/** Transfers between hospitals, as the network that decides them says. */
export const transfers: Projection<typeof table.columns> = {
  table,
  keyOf(event) {
    switch (event.type) {
      case 'TransferProposed':
      case 'TransferAccepted':
      case 'TransferCompleted':
      case 'TransferRejected':
      case 'TransferCancelled':
      case 'TransferExpired':
        return [event.transferId];
      default:
        return undefined;
    }
  },
  begins: (event) => event.type === 'TransferProposed',
  apply(previous, placed) {
    const { event, block } = placed;
    if (event.type === 'TransferProposed') {
      return {
        transferId: event.transferId,
        recordId: event.recordId,
        fromHospital: BigInt(event.hospital),
        toHospital: BigInt(event.toHospital),
        version: event.version,
        contentHash: event.contentHash,
        mode: event.mode,
        expiresAt: event.expiresAt,
        state: 'proposed',
        packageHash: null,
        proposedAt: block.time,
        stateBlockHash: block.hash,
      };
    }
    const transfer = { ...present(previous, placed), stateBlockHash: block.hash };
    switch (event.type) {
      case 'TransferAccepted':
        return { ...transfer, state: 'accepted', packageHash: event.packageHash };
      case 'TransferCompleted':
        return { ...transfer, state: 'completed' };
      case 'TransferRejected':
        return { ...transfer, state: 'rejected' };
      case 'TransferCancelled':
        return { ...transfer, state: 'cancelled' };
      case 'TransferExpired':
        return { ...transfer, state: 'expired' };
      default:
        throw unexpected(event);
    }
  },
};
