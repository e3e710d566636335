import { randomBytes } from 'node:crypto';

/** `op_` + a UUIDv7 (RFC 9562) without dashes: ids sort by the time they were made, which keeps their index compact. */
export function newOperationId(now = Date.now()): string {
  const id = randomBytes(16);
  id.writeUIntBE(now, 0, 6);
  id[6] = 0x70 | (id[6]! & 0x0f);
  id[8] = 0x80 | (id[8]! & 0x3f);
  return `op_${id.toString('hex')}`;
}
