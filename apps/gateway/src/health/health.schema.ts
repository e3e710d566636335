import { z } from 'zod';

export const healthSchema = z.object({ status: z.enum(['ok', 'degraded']) }).meta({ id: 'Health' });
export type HealthBody = z.output<typeof healthSchema>;
