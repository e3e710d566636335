import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Vault } from '../../../../libs/vault/src/vault.js';
import { flipped, unnoticed } from '../../../../test/builders/tampering.js';
import { type AuditedLedger, startAuditedLedger } from '../../../../test/stack/audited-ledger.js';
import { verifyExport } from '../../../../verifier/export.mjs';
import { signManifest } from './export.manifest.js';
import type { ExportBody, Manifest } from './export.schema.js';

const auditor = ['auditor'];

let ledger: AuditedLedger;
let sql: pg.Client;
let record: string;
/** With two events: small enough to try every byte of its export. */
let quietRecord: string;

interface Exported {
  id: string;
  content: string;
  manifest: string;
}

beforeAll(async () => {
  ledger = await startAuditedLedger(3);
  for (let round = 0; round < 2; round++) await ledger.load.mined(ledger.load.queries(3));
  record = `0x${(ledger.load.records[0] as Buffer).toString('hex')}`;
  await ledger.load.mined([ledger.load.open()]);
  quietRecord = `0x${(ledger.load.records[3] as Buffer).toString('hex')}`;
  await ledger.load.mined([ledger.load.query(ledger.load.records[3] as Buffer), ...ledger.load.queries(1)]);
  await ledger.mirrored();
  sql = new pg.Client({ connectionString: ledger.gateway.database.superuserUrl });
  await sql.connect();
});
afterAll(async () => {
  await sql?.end();
  await ledger?.close();
});

async function exported(request: object): Promise<Exported> {
  const made = await ledger.call(auditor, '/v1/audit/exports', request);
  expect(made.status, made.text).toBe(201);
  const { id, links } = JSON.parse(made.text) as ExportBody;
  expect(made.headers.get('location')).toBe(`/v1/audit/exports/${id}`);
  const content = await ledger.call(auditor, links.content);
  expect(content.status).toBe(200);
  const manifest = await ledger.call(auditor, links.manifest);
  expect(manifest.status).toBe(200);
  return { id, content: content.text, manifest: manifest.text };
}

const verify = ({ content, manifest }: Exported, options: string[] = [], trust = [ledger.identityKey]) =>
  ledger.verify('export', [content, manifest], trust, options);

/** Checks content against manifest, both in memory but for the file that the content has to be. */
async function checkContent(content: string, manifest: string): Promise<void> {
  const file = join(ledger.gateway.directory, 'export');
  await writeFile(file, content, 'latin1');
  await verifyExport(file, manifest, []);
}

/** What somebody with the hospital's key would make of changed content. */
function signedAnew({ content, manifest }: Exported, lines: string[]): { content: string; manifest: string } {
  const changed = lines.join('');
  const { signature: _, ...unsigned } = JSON.parse(manifest) as Manifest;
  const rows = String(lines.length - (unsigned.media === 'csv' ? 1 : 0));
  unsigned.rows = rows;
  unsigned.networks[0]!.rows = rows;
  unsigned.bytes = String(changed.length);
  unsigned.sha256 = `0x${createHash('sha256').update(changed).digest('hex')}`;
  expect(changed).not.toBe(content);
  return { content: changed, manifest: signManifest(unsigned, ledger.gateway.app.get(Vault)) };
}

describe.each(['ndjson', 'csv'] as const)('an export as %s', (format) => {
  let whole: Exported;
  let lines: string[];
  beforeAll(async () => {
    whole = await exported({ format });
    lines = whole.content.match(/[^\n]*\n/g) ?? [];
  });

  it('has every event, and verifies offline', async () => {
    const manifest = JSON.parse(whole.manifest) as Manifest;
    expect(manifest).toMatchObject({ kind: 'whole', rows: '15', networks: [{ first: '1', last: '15' }] });
    const { code, output } = await verify(whole);
    expect(output).toContain('local: 15 rows, 1 to 15, every event in between');
    expect(output.split('\n').at(-1)).toMatch(/^verified: /);
    expect(code).toBe(0);
  });

  it('is the same, byte for byte, each time it is fetched', async () => {
    const again = await ledger.call(auditor, `/v1/audit/exports/${whole.id}/content`);
    expect(again.text).toBe(whole.content);
    expect((await ledger.call(auditor, `/v1/audit/exports/${whole.id}/manifest`)).text).toBe(whole.manifest);
  });

  it('is not believed under another key', async () => {
    const { code, output } = await verify(whole, [], [`0x${'ab'.repeat(32)}`]);
    expect(output).toContain("the hospital's identity key");
    expect(code).toBe(1);
  });

  it('has no byte that could be changed unnoticed, nor has its manifest', async () => {
    const one = await exported({ format, recordId: quietRecord });
    expect((JSON.parse(one.manifest) as Manifest).kind).toBe('record');
    expect((await verify(one)).code).toBe(0);
    expect(await unnoticed(one.content, (content) => checkContent(content, one.manifest))).toEqual([]);
    await checkContent(one.content, one.manifest);
    const file = join(ledger.gateway.directory, 'export');
    expect(await unnoticed(one.manifest, (manifest) => verifyExport(file, manifest, []))).toEqual([]);
  });

  it('names the line, whichever bit is flipped in what the ledger wrote', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: whole.content.length - 1 }), fc.nat({ max: 6 }), async (at, bit) => {
        const failed = checkContent(flipped(whole.content, at, bit), whole.manifest);
        await expect(failed).rejects.toThrow(/line \d+|SHA-256|rows/);
      }),
      { numRuns: 150 },
    );
  });

  it('is found out when a row is missing, doubled or moved, even by who holds the signing key', async () => {
    const [first, ...rest] = lines.length === 16 ? [lines[0], ...lines.slice(1)] : [undefined, ...lines];
    const made = (rows: string[]) => signedAnew(whole, first === undefined ? rows : [first, ...rows]);
    const tried = (rows: string[]) => {
      const { content, manifest } = made(rows);
      return expect(checkContent(content, manifest)).rejects;
    };
    await tried(rest.filter((_, index) => index !== 6)).toThrow(/line \d+ is event 8 where 7 is due/);
    await tried(rest.slice(1)).toThrow(/is event 2 where 1 is due/);
    await tried(rest.slice(0, -1)).toThrow(/local ends with 14, the manifest says 15/);
    await tried([...rest.slice(0, 5), rest[4]!, ...rest.slice(5)]).toThrow(/is event 5, after a later one/);
    await tried([...rest.slice(0, 5), rest[6]!, rest[5]!, ...rest.slice(7)]).toThrow(/is event 7 where 6 is due/);
  });

  it('can be held against a proof from the chain, which needs no signature to be believed', async () => {
    const proof = await ledger.call(auditor, '/v1/audit/events/ev_local_15/proof');
    const file = join(ledger.gateway.directory, 'proof.json');
    await writeFile(file, proof.text);
    const { hash } = (JSON.parse(proof.text) as { checkpoint: { hash: string } }).checkpoint;
    const trust = [ledger.identityKey, ledger.chain.contract, hash];
    const { code, output } = await verify(whole, ['--proof', file], trust);
    expect(output).toContain(`trusted: block`);
    expect(code).toBe(0);
    const one = await exported({ format, recordId: record });
    expect((await verify(one, ['--proof', file], trust)).output).toContain('is not among these rows');
  });

  it('of a filter says that its completeness rests on the signature', async () => {
    const some = await exported({ format, type: 'RecordQueried', outcome: 'allowed' });
    const manifest = JSON.parse(some.manifest) as Manifest;
    expect(manifest).toMatchObject({ kind: 'selection', rows: '8', networks: [{ head: null, previousHead: null }] });
    const { code, output } = await verify(some);
    expect(output).toContain('rests on the signature alone');
    expect(code).toBe(0);
    await expect(checkContent(some.content.replace('TREAT', 'ETREAT'), some.manifest)).rejects.toThrow(
      /purpose is ETREAT/,
    );
  });

  it('of nothing is empty, and verifies', async () => {
    const none = await exported({ format, from: '2020-01-01T00:00:00Z', to: '2020-01-02T00:00:00Z' });
    expect(JSON.parse(none.manifest)).toMatchObject({ rows: '0', networks: [{ first: null, last: null }] });
    expect((await verify(none)).code).toBe(0);
  });

  it('of a later time begins with the head that was reached before', async () => {
    const { rows } = await sql.query('SELECT block_time FROM mirror.emr_event WHERE sequence = 10');
    const from = new Date(Number(rows[0].block_time) * 1000).toISOString();
    const later = await exported({ format, from });
    const [network] = (JSON.parse(later.manifest) as Manifest).networks;
    expect(BigInt(network!.first!)).toBeLessThanOrEqual(10n);
    expect((await verify(later)).code).toBe(0);
  });
});

describe('exports', () => {
  it('are for auditors', async () => {
    for (const roles of [['clinician'], ['patient'], ['admin']]) {
      expect((await ledger.call(roles, '/v1/audit/exports', {})).status).toBe(403);
    }
    expect((await ledger.call(auditor, `/v1/audit/exports/ex_${'0'.repeat(32)}`)).status).toBe(404);
    expect((await ledger.call(auditor, '/v1/audit/exports', { format: 'xml' })).status).toBe(400);
  });

  it('leave a trace of each step, without the patient', async () => {
    const patient = { identifier: { system: 'urn:mrn', value: 'CANARY-EXPORT' } };
    const { id, content } = await exported({ patient });
    expect(content).toBe('');
    const { rows } = await sql.query(
      "SELECT detail FROM gateway.access_log WHERE detail ->> 'export' = $1 ORDER BY id",
      [id],
    );
    expect(rows.map(({ detail }) => detail)).toEqual([
      { export: id, format: 'ndjson', patient: true },
      { export: id, content: true },
      { export: id, manifest: true },
    ]);
    const { rows: stored } = await sql.query('SELECT plan::text AS plan FROM gateway.audit_export');
    expect(JSON.stringify(stored)).not.toContain('CANARY');
  });

  it('have no manifest before they were fetched, and are refused once what was final is replaced', async () => {
    const made = JSON.parse((await ledger.call(auditor, '/v1/audit/exports', {})).text) as ExportBody;
    expect(made.complete).toBe(false);
    const early = await ledger.call(auditor, made.links.manifest);
    expect(early.status).toBe(409);
    expect(JSON.parse(early.text).detail).toContain(made.links.content);
    const turn = `UPDATE mirror.block SET hash = set_byte(hash, 0, 255 - get_byte(hash, 0))
                  WHERE number = (SELECT final_number FROM mirror.cursor)`;
    await sql.query(turn);
    const broken = await ledger.call(auditor, made.links.content);
    await sql.query(turn);
    expect(broken.status).toBe(409);
    expect((await ledger.call(auditor, made.links.content)).status).toBe(200);
    expect(JSON.parse((await ledger.call(auditor, `/v1/audit/exports/${made.id}`)).text).complete).toBe(true);
  });

  it('break off, and get no manifest, when rows of the mirror do not give the head of its blocks', async () => {
    const turn = 'UPDATE mirror.emr_event SET data = set_byte(data, 1, 255 - get_byte(data, 1)) WHERE sequence = 9';
    const made = JSON.parse((await ledger.call(auditor, '/v1/audit/exports', {})).text) as ExportBody;
    await sql.query(turn);
    await expect(ledger.call(auditor, made.links.content)).rejects.toThrow();
    await sql.query(turn);
    expect((await ledger.call(auditor, made.links.manifest)).status).toBe(409);
  });
});

describe('an export of the access log', () => {
  it('has every entry up to when it was asked for, this program’s own looks among them, and verifies offline', async () => {
    const linked = async () =>
      JSON.parse((await ledger.call(auditor, '/v1/audit/integrity')).text).accessLog.sequence as string;
    await expect.poll(linked, { timeout: 20_000 }).not.toBe('0');
    const it = await exported({ of: 'access-log' });
    const { code, output } = await ledger.verify('access-log', [it.content, it.manifest], [ledger.identityKey]);
    expect(output).toMatch(/^entries 1 to \d+ of hospital 1's access log, every one in between/);
    expect(code).toBe(0);
    expect(it.content).toContain('"kind":"integrity"');
    const short = it.content.split('\n').slice(1).join('\n');
    expect((await ledger.verify('access-log', [short, it.manifest], [ledger.identityKey])).output).toContain(
      'NOT verified: line 1 is entry 2 where 1 is due',
    );
  });

  it('takes no filter', async () => {
    const refused = await ledger.call(auditor, '/v1/audit/exports', { of: 'access-log', type: 'RecordQueried' });
    expect(refused.status).toBe(400);
  });
});

describe('an export that is larger than any buffer', () => {
  const open = async (path: string) => {
    const reader = new AbortController();
    const authorization = `Bearer ${await ledger.gateway.token('auditor.b', auditor)}`;
    const response = await fetch(`${ledger.gateway.url}${path}`, { headers: { authorization }, signal: reader.signal });
    return { response, reader };
  };
  const cursors = async () => {
    const activity =
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'emr-gateway-export' AND datname = current_database()";
    return (await sql.query(activity)).rows[0].n as number;
  };

  it('waits for its reader, ends with it, and lets no more than two be made at once', async () => {
    await sql.query(
      `INSERT INTO mirror.emr_event
       SELECT network, sequence + n, block_number, block_hash, block_time, 1000 + n, transaction_hash, transaction_index, type, record_id,
         record_sequence, hospital, actor, request_id, operation, outcome, purpose, topics, data
       FROM mirror.emr_event, generate_series(1, 40000) n WHERE sequence = 15`,
    );
    await sql.query('UPDATE mirror.block SET sequence = 40015 WHERE number = (SELECT final_number FROM mirror.cursor)');
    const made = JSON.parse((await ledger.call(auditor, '/v1/audit/exports', {})).text) as ExportBody;
    const [first, second] = [await open(made.links.content), await open(made.links.content)];
    expect([first.response.status, second.response.status]).toEqual([200, 200]);
    const third = await ledger.call(auditor, made.links.content);
    expect(third.status).toBe(429);
    expect(third.headers.get('retry-after')).toBe('30');
    expect(await cursors()).toBe(2);
    first.reader.abort();
    second.reader.abort();
    await expect.poll(cursors, { timeout: 20_000 }).toBe(0);
    expect((await ledger.call(auditor, made.links.manifest)).status).toBe(409);
    const again = await open(made.links.content);
    expect(again.response.status).toBe(200);
    again.reader.abort();
    await expect.poll(cursors, { timeout: 20_000 }).toBe(0);
  });
});
