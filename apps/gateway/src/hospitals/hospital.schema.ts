import { z } from 'zod';
import { address20, hash32 } from '../http/fields.js';

export const hospitalId = z.coerce.number().int().min(1).max(0xffff_ffff).meta({ example: 1 });

export const hospitalSchema = z
  .object({
    id: hospitalId,
    network: z.string().meta({ example: 'global' }),
    active: z.boolean(),
    registrar: address20,
    identityKey: hash32,
    transferKey: hash32,
    transferKeyId: z.int(),
    endpointHash: hash32,
    relayers: z.array(address20),
  })
  .meta({ id: 'Hospital' });
export type HospitalBody = z.output<typeof hospitalSchema>;

export const hospitalListSchema = z.object({ items: z.array(hospitalSchema) }).meta({ id: 'HospitalList' });
