import { describe, expect, it } from 'vitest';
import { environmentFindings, sizeFindings } from './source-rules.js';

describe('reading the environment', () => {
  it.each([
    ['apps/gateway/src/a.service.ts', 'const port = process.env.PORT;', 1],
    ['apps/gateway/src/a.service.ts', "const port = process.env['PORT'];", 1],
    ['libs/platform/src/a.ts', 'child(process.env);', 1],
    ['apps/gateway/src/gateway.env.ts', 'parseEnv(schema, process.env)', 0],
    ['deploy/local/a.ts', 'spawn(path, { env: process.env })', 0],
    ['deploy/local/a.ts', 'const home = process.env.HOME;', 1],
    ['apps/gateway/src/a.spec.ts', 'process.env.PORT = "1";', 0],
    ['apps/gateway/src/a.ts', '// process.env.PORT is parsed elsewhere', 0],
  ])('%s: %s → %i findings', (path, text, count) => {
    expect(environmentFindings(path, text)).toHaveLength(count);
  });
});

describe('the size of files', () => {
  it('is 400 lines, and 1,000 for tests', () => {
    const lines = (count: number) => 'x\n'.repeat(count);
    expect(sizeFindings('libs/a.ts', lines(400))).toEqual([]);
    expect(sizeFindings('libs/a.ts', lines(401))).toEqual(['libs/a.ts: 401 lines, past 400']);
    expect(sizeFindings('libs/a.spec.ts', lines(1_000))).toEqual([]);
    expect(sizeFindings('libs/contracts/test/A.t.sol', lines(1_001))).toHaveLength(1);
  });
});
