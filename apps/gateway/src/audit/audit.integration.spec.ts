import { randomBytes } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { Operation, Reason, Role } from '../../../../libs/contracts/src/operations.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import type { Vault } from '../../../../libs/vault/src/vault.js';
import { someCaller } from '../../../../test/builders/caller.builder.js';
import { MirrorBuilder, someRecordId } from '../../../../test/builders/mirror.builder.js';
import { type TestStorage, testStorage } from '../../../../test/stack/storage.js';
import type { RoleName } from '../auth/caller.js';
import { Patients } from '../emrs/patients.service.js';
import { PatientsStore } from '../emrs/patients.store.js';
import type { GatewayEnv } from '../gateway.env.js';
import { encodeCursor } from '../http/page.js';
import { ActorKeys } from '../keys/actor-keys.js';
import { Records } from '../policy/records.service.js';
import { RecordsStore } from '../policy/records.store.js';
import { AccessLog } from './access-log.service.js';
import { AccessLogStore } from './access-log.store.js';
import { AccessLogChain } from './access-log-chain.service.js';
import { AccessLogChainStore } from './access-log-chain.store.js';
import { auditQuery, auditSearchSchema } from './audit.schema.js';
import { AuditService, EVENT_LIST } from './audit.service.js';
import { AuditStore } from './audit.store.js';

const T0 = 1_700_000_000;
const networks = {
  local: 'local',
  global: 'global',
  networks: [{ name: 'local' }, { name: 'global' }],
} as NetworksConfig;
const actor = randomBytes(20);
const recordId = someRecordId(1);

let storage: TestStorage;
let gateway: DataSource;
let mirror: MirrorBuilder;
let vault: Vault;
let patients: Patients;
let records: Records;
let audit: AuditService;
let chain: AccessLogChainStore;

beforeAll(async () => {
  storage = await testStorage();
  ({ gateway, vault } = storage);
  mirror = new MirrorBuilder(storage.mirror);
  records = new Records(new RecordsStore(gateway, networks, { HOSPITAL_ID: 1 } as GatewayEnv), vault);
  chain = new AccessLogChainStore(gateway);
  const log = new AccessLog(new AccessLogStore(gateway));
  patients = new Patients(new PatientsStore(gateway), vault, new ActorKeys(gateway, vault), records, log);
  audit = new AuditService(new AuditStore(gateway, networks), patients, records, log, new AccessLogChain(chain));

  // Twelve acts on two networks, two a second, every third refused; one more that isn't final.
  for (let index = 0; index < 12; index++) {
    const outcome = index % 3 === 2 ? Reason.NO_RELATION : 0;
    const subject = randomBytes(20);
    await mirror.event(index % 4 === 3 ? 'global' : 'local', {
      type: 'RecordQueried',
      operation: Operation.QUERY,
      recordId: index < 4 ? recordId : someRecordId(1),
      actor: index % 2 ? actor : subject,
      requestId: randomBytes(32),
      time: T0 + Math.floor(index / 2),
      purpose: 1 + (index % 2),
      outcome,
      own: [1, 1, 300, Buffer.alloc(32)],
    });
  }
  await mirror.event(
    'local',
    {
      type: 'RecordClosed',
      operation: Operation.CLOSE,
      recordId,
      actor,
      requestId: randomBytes(32),
      time: T0 + 99,
      own: [1],
    },
    { final: false },
  );
});
afterAll(() => storage?.close());

const caller = (role: RoleName = 'auditor') => someCaller({ roles: [role] });

async function all(filter: Partial<z.input<typeof auditSearchSchema>>, who = caller(), limit = 200): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | undefined;
  do {
    const { rows, keyOf } = await audit.events(
      who,
      auditSearchSchema.parse({ ...filter, limit, ...(cursor ? { cursor } : {}) }),
    );
    const kept = rows.slice(0, limit);
    ids.push(...kept.map((row) => `${row.network}:${row.sequence}`));
    cursor = rows.length > limit ? encodeCursor(EVENT_LIST, keyOf(kept.at(-1)!)) : undefined;
  } while (cursor);
  return ids;
}

const iso = (seconds: number) => new Date(seconds * 1000).toISOString();

describe('audit events', () => {
  it('are all there, newest first, final ones only', async () => {
    const ids = await all({});
    expect(ids).toHaveLength(12);
    expect(ids).not.toContain('local:10');
    expect(ids[0]).toBe('local:9');
    const { confirmedThrough } = await audit.events(caller(), auditQuery.parse({}));
    expect(confirmedThrough.local).toEqual({ block: '9', sequence: '9' });
    expect(confirmedThrough.global).toEqual({ block: '3', sequence: '3' });
  });

  it('come page by page in the same order, without gap or repeat', async () => {
    const whole = await all({});
    for (const limit of [1, 2, 3, 5, 11, 12]) expect(await all({}, caller(), limit)).toEqual(whole);
  });

  it('can be narrowed by record, actor, type, outcome, purpose, network and time', async () => {
    const hex = (bytes: Buffer) => `0x${bytes.toString('hex')}`;
    expect(await all({ recordId: hex(recordId) })).toHaveLength(4);
    expect(await all({ actor: hex(actor) })).toHaveLength(6);
    expect(await all({ type: 'AccessDenied' })).toHaveLength(4);
    expect(await all({ outcome: 'denied' })).toHaveLength(4);
    expect(await all({ outcome: 'allowed' })).toHaveLength(8);
    expect(await all({ purpose: 'ETREAT' })).toHaveLength(6);
    expect(await all({ network: 'global' })).toEqual(['global:3', 'global:2', 'global:1']);
    expect(await all({ network: 'elsewhere' })).toEqual([]);
    expect(await all({ network: 'global,local' })).toHaveLength(12);
    expect(await all({ device: hex(actor) })).toEqual([]);
    await mirror.actor('local', actor, Role.DEVICE);
    expect(await all({ device: hex(actor) })).toEqual(await all({ actor: hex(actor), network: 'local' }));
    expect(await all({ from: iso(T0 + 2), to: iso(T0 + 4) })).toHaveLength(4);
    expect(await all({ from: iso(T0 + 6) })).toEqual([]);
    expect(await all({ to: iso(T0) })).toEqual([]);
    expect(await all({ from: iso(T0), to: iso(T0 + 6) })).toHaveLength(12);
  });

  it('show what the ledger recorded', async () => {
    const event = await audit.event(caller(), 'ev_local_1');
    expect(event).toMatchObject({ operation: 'QUERY', outcome: { code: 'OK' }, purpose: 'TREAT', time: iso(T0) });
    await expect(audit.event(caller(), 'ev_local_10')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(audit.event(caller(), 'ev_local_9999999999999999999')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('are found by patient, and seen by that patient alone', async () => {
    const identifier = { system: 'urn:mrn', value: 'CANARY-77' };
    await gateway.transaction((manager) =>
      patients.attach(manager, { recordId, subject: randomBytes(20), subjectKey: Buffer.alloc(32, 1) }, identifier),
    );
    expect(await all({ patient: { identifier } })).toHaveLength(4);
    expect(await all({ patient: { identifier: { value: 'CANARY-77' } } })).toEqual([]);
    const patient = caller('patient');
    expect(await all({}, patient)).toEqual([]);
    await patients.linkAccount(
      { ...caller('records-officer'), subject: 'officer.a' },
      recordId,
      patient.issuer,
      patient.subject,
    );
    expect(await all({}, patient)).toHaveLength(4);
    await expect(audit.event(patient, 'ev_local_9')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect((await audit.event(patient, 'ev_local_1')).id).toBe('ev_local_1');
  });

  it('leave a trace of who looked, without the patient', async () => {
    const who = caller();
    await all({ patient: { identifier: { value: 'CANARY-78' } }, outcome: 'denied' }, who);
    const rows = await gateway.query('SELECT kind, detail FROM gateway.access_log WHERE principal = $1', [
      who.principal,
    ]);
    expect(rows).toEqual([
      { kind: 'audit-search', detail: { outcome: 'denied', limit: 200, byPatient: true, found: 0 } },
    ]);
  });

  it('keep to the history that the first page found, and say so when a reorganisation takes it away', async () => {
    const first = await audit.events(caller(), auditSearchSchema.parse({ limit: 4 }));
    const cursor = encodeCursor(EVENT_LIST, first.keyOf(first.rows[3]!));
    const next = () => audit.events(caller(), auditSearchSchema.parse({ limit: 4, cursor }));
    const turn =
      "UPDATE mirror.block SET hash = set_byte(hash, 0, 255 - get_byte(hash, 0)) WHERE network = 'local' AND number = ";
    expect((await next()).confirmedThrough).toEqual(first.confirmedThrough);
    // What follows the snapshot may change as it likes; the snapshot itself may not.
    await storage.mirror.query(`${turn} 10`);
    expect((await next()).rows[0]!.sequence).toBe(first.rows[4]!.sequence);
    await storage.mirror.query(`${turn} 9`);
    await expect(next()).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('reorganisation'),
    });
    for (const number of [9, 10]) await storage.mirror.query(`${turn} ${number}`);
  });

  it('refuse a cursor that is not theirs', async () => {
    await expect(
      audit.events(caller(), auditQuery.parse({ cursor: encodeCursor('emrs', [1, 'x']) })),
    ).rejects.toMatchObject({
      code: 'INVALID_CURSOR',
    });
  });
});

describe('integrity', () => {
  it('says how far each network is verified, and that nothing is missing', async () => {
    const {
      networks: [global, local],
    } = await audit.integrity();
    expect(local).toMatchObject({
      network: 'local',
      sequence: '10',
      events: '10',
      finalThrough: '9',
      gaps: [],
      stopped: null,
      incidents: [],
      beyondFinality: 0,
      lastCheckpoint: null,
    });
    expect(global).toMatchObject({ network: 'global', sequence: '3', gaps: [] });
  });

  it('shows checkpoints, what a second node says of them, and what a node was caught at', async () => {
    const checkpoint = (witness: string) =>
      storage.mirror.query(
        `INSERT INTO mirror.checkpoint (network, block_number, block_hash, sequence, head, witness_hash, proof_missing)
         SELECT network, number, hash, sequence, decode(repeat('07', 32), 'hex'), ${witness}, 'no archive node' FROM mirror.block
         WHERE network = 'local' AND number = 9
         ON CONFLICT ON CONSTRAINT pk_checkpoint DO UPDATE SET witness_hash = excluded.witness_hash`,
      );
    const local = async () => (await audit.integrity()).networks[1]!;
    for (const [witness, secondNode] of [
      ['NULL', 'not-asked'],
      ['hash', 'agrees'],
      ["decode(repeat('00', 32), 'hex')", 'differs'],
    ] as const) {
      await checkpoint(witness);
      expect((await local()).lastCheckpoint).toMatchObject({ block: '9', sequence: '9', proven: false, secondNode });
    }
    await storage.mirror.query(
      `INSERT INTO mirror.incident (network, kind, block_number, detail, resolved_at) VALUES
         ('local', 'mismatch', 3, 'its receipts have another root', now()),
         ('local', 'witness', 9, 'the second node has another block', NULL), ('local', 'mismatch', 11, 'its header has another hash', NULL)`,
    );
    await storage.mirror.query(
      "UPDATE mirror.cursor SET stopped_reason = 'block 11 does not fit' WHERE network = 'local'",
    );
    const { incidents, stopped } = await local();
    expect(incidents.map(({ block, resolvedAt }) => [block, resolvedAt === null])).toEqual([
      ['11', true],
      ['9', true],
      ['3', false],
    ]);
    expect(stopped).toEqual({ reason: 'block 11 does not fit', block: '11' });
    await storage.mirror.query("UPDATE mirror.cursor SET stopped_reason = NULL WHERE network = 'local'");
  });

  it('says how far the access log is chained', async () => {
    // Transactions of other databases of the server hold it up for a moment.
    await expect.poll(() => chain.link(1_000), { timeout: 60_000 }).toBeGreaterThan(0);
    const { accessLog } = await audit.integrity();
    expect(Number(accessLog.sequence)).toBeGreaterThan(0);
    expect(accessLog).toEqual({
      sequence: accessLog.sequence,
      head: `0x${(await chain.head()).head.toString('hex')}`,
      linkedAt: expect.any(String),
    });
  });

  it('names what is missing', async () => {
    const runner = storage.mirror.createQueryRunner();
    const taken = await runner.query(
      "DELETE FROM mirror.emr_event WHERE network = 'global' AND sequence IN (1, 3) RETURNING *",
    );
    const {
      networks: [global],
    } = await audit.integrity();
    expect(global!.gaps).toEqual([
      { after: '0', before: '2' },
      { after: '2', before: '4' },
    ]);
    for (const row of taken[0] ?? taken) {
      const names = Object.keys(row);
      await runner.query(
        `INSERT INTO mirror.emr_event (${names.join()}) VALUES (${names.map((_, index) => `$${index + 1}`).join()})`,
        Object.values(row),
      );
    }
    await runner.release();
  });
});
