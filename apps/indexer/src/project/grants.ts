import { defineTable } from '../commit/table.js';
import { type Projection, present, unexpected } from './projection.js';

const table = defineTable(
  'access_grant',
  {
    recordId: 'bytea',
    grantId: 'bytea',
    grantee: 'bytea',
    granteeHospital: 'int8',
    operations: 'int8',
    purpose: 'int4',
    notBefore: 'int8',
    notAfter: 'int8',
    consentHash: 'bytea',
    grantedBy: 'bytea',
    grantedAt: 'int8',
    revokedAt: 'int8?',
  },
  ['recordId', 'grantId'],
);

/** Consents to access. */
export const grants: Projection<typeof table.columns> = {
  table,
  keyOf: (event) =>
    event.type === 'AccessGranted' || event.type === 'AccessRevoked' ? [event.recordId, event.grantId] : undefined,
  begins: (event) => event.type === 'AccessGranted',
  apply(previous, placed) {
    const { event, block } = placed;
    switch (event.type) {
      case 'AccessGranted':
        return {
          recordId: event.recordId,
          grantId: event.grantId,
          grantee: event.grantee,
          granteeHospital: BigInt(event.granteeHospital),
          operations: BigInt(event.operations),
          purpose: event.purpose,
          notBefore: event.notBefore,
          notAfter: event.notAfter,
          consentHash: event.consentHash,
          grantedBy: event.actor,
          grantedAt: block.time,
          revokedAt: null,
        };
      case 'AccessRevoked':
        return { ...present(previous, placed), revokedAt: block.time };
      default:
        throw unexpected(event);
    }
  },
};
