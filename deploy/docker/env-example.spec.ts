import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { gatewayEnv } from '../../apps/gateway/src/gateway.env.js';
import { indexerEnv } from '../../apps/indexer/src/indexer.env.js';
import { gethEnv } from '../geth/geth.env.js';
import { projectRoot } from '../local/layout.js';

const text = (file: string) => readFileSync(join(projectRoot, file), 'utf8');
const lines = text('.env.example')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => /^([A-Z][A-Z0-9_]*)=(\S*) # (.+)$/.exec(line));
const example = new Map(lines.map((line) => [line?.[1] ?? '', { value: line?.[2] ?? '', says: line?.[3] ?? '' }]));

type Shape = Record<string, { safeParse(value: unknown): { success: boolean; data?: unknown } }>;
const shapeOf = (schema: unknown): Shape => {
  const object = schema as { shape?: Shape; in?: unknown };
  return object.shape ?? shapeOf(object.in);
};
const programs = { gateway: shapeOf(gatewayEnv), indexer: shapeOf(indexerEnv), node: shapeOf(gethEnv) };

describe('.env.example', () => {
  it('says each variable once, in one line, with what it is', () => {
    expect(lines.every(Boolean)).toBe(true);
    expect(example.size).toBe(lines.length);
  });

  it('has every variable the programs read', () => {
    for (const shape of Object.values(programs))
      for (const name of Object.keys(shape)) expect([...example.keys()]).toContain(name);
  });

  it('has every variable of docker-compose.yml', () => {
    for (const [, name] of text('docker-compose.yml').matchAll(/\$\{([A-Z_]+)/g))
      expect([...example.keys()]).toContain(name);
  });

  it('has no variable that nobody reads', () => {
    const read = new Set(Object.values(programs).flatMap((shape) => Object.keys(shape)));
    for (const [, name] of text('docker-compose.yml').matchAll(/\$\{([A-Z_]+)/g)) read.add(name ?? '');
    for (const name of ['GETH_BIN', 'GETH_POW_BIN', 'EMR_CACHE_DIR']) read.add(name);
    expect([...example.keys()].filter((name) => !read.has(name))).toEqual([]);
  });

  it.each(Object.entries(programs))(
    'shows the defaults of the %s as they are, and marks what is needed',
    (program, shape) => {
      for (const [name, field] of Object.entries(shape)) {
        const { value = '', says = '' } = example.get(name) ?? {};
        const unset = field.safeParse(undefined);
        if (!unset.success) expect(`${name}: ${says}`).toContain('needed');
        else if (value !== '') expect({ [name]: field.safeParse(value).data }).toEqual({ [name]: unset.data });
        else if (program !== 'indexer') expect({ [name]: unset.data }).toEqual({ [name]: undefined });
      }
    },
  );
});
