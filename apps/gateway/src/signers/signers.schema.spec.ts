import { describe, expect, it } from 'vitest';
import { bumpRequestSchema, noopRequestSchema, releaseRequestSchema } from './signers.schema.js';

describe("an operator's request", () => {
  it.each([
    ['bump', bumpRequestSchema],
    ['noop', noopRequestSchema],
    ['release', releaseRequestSchema],
  ])('%s has examples that are taken as they stand', (_name, schema) => {
    const { examples } = schema.meta() as { examples: unknown[] };
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) expect(schema.safeParse(example).success).toBe(true);
  });
});
