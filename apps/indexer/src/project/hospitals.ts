import { defineTable } from '../commit/table.js';
import { type Projection, present, unexpected } from './projection.js';

const table = defineTable(
  'hospital',
  {
    id: 'int8',
    registrar: 'bytea',
    identityKey: 'bytea',
    transferKey: 'bytea',
    transferKeyId: 'int8',
    endpointHash: 'bytea',
    active: 'bool',
  },
  ['id'],
);

/** The consortium's registry. */
export const hospitals: Projection<typeof table.columns> = {
  table,
  keyOf(event) {
    switch (event.type) {
      case 'HospitalRegistered':
      case 'HospitalUpdated':
      case 'HospitalStatusChanged':
        return [BigInt(event.id)];
      default:
        return undefined;
    }
  },
  begins: (event) => event.type === 'HospitalRegistered',
  apply(previous, placed) {
    const { event } = placed;
    switch (event.type) {
      case 'HospitalRegistered':
      case 'HospitalUpdated':
        return {
          id: BigInt(event.id),
          registrar: event.registrar,
          identityKey: event.identityKey,
          transferKey: event.transferKey,
          transferKeyId: BigInt(event.transferKeyId),
          endpointHash: event.endpointHash,
          active: event.type === 'HospitalRegistered' ? true : present(previous, placed).active,
        };
      case 'HospitalStatusChanged':
        return { ...present(previous, placed), active: event.active };
      default:
        throw unexpected(event);
    }
  },
};
