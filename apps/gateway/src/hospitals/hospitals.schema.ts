import { z } from 'zod';
import { address20, hash32 } from '../http/fields.js';

export const hospitalNumber = z.int().min(1).max(0xffff_ffff).meta({ example: 2 });
export const hospitalNumberInPath = z.coerce.number().int().min(1).max(0xffff_ffff);

const keys = {
  registrar: address20,
  /** Ed25519 public key. */
  identityKey: hash32,
  /** X25519 public key. */
  transferKey: hash32,
  transferKeyId: z.int().min(0).max(0xffff_ffff),
  /** SHA-256 of the peer endpoint's URL. */
  endpointHash: hash32,
};

export const hospitalSchema = z
  .object({
    id: hospitalNumber,
    network: z.string().meta({ example: 'global' }),
    active: z.boolean(),
    ...keys,
    relayers: z.array(address20),
  })
  .meta({ id: 'Hospital' });
export type HospitalBody = z.output<typeof hospitalSchema>;

export const hospitalListSchema = z.object({ items: z.array(hospitalSchema) }).meta({ id: 'HospitalList' });

export const admissionSchema = z
  .strictObject({ id: hospitalNumber, relayer: address20, ...keys })
  .meta({ id: 'HospitalAdmission' });
export type Admission = z.output<typeof admissionSchema>;

export const hospitalUpdateSchema = z.strictObject(keys).meta({ id: 'HospitalKeys' });
export type HospitalUpdate = z.output<typeof hospitalUpdateSchema>;
