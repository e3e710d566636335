import { createHash, randomBytes } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Vault } from '../../../../libs/vault/src/vault.js';
import { someCaller } from '../../../../test/builders/caller.builder.js';
import { type TestStorage, testStorage } from '../../../../test/stack/storage.js';
import { ContentsService } from './contents.service.js';
import { ContentsStore } from './contents.store.js';
import { RecordContents } from './record-contents.service.js';
import { RecordContentsStore } from './record-contents.store.js';

let storage: TestStorage;
let gateway: DataSource;
let mirror: DataSource;
let vault: Vault;

beforeAll(async () => {
  storage = await testStorage();
  ({ gateway, mirror, vault } = storage);
});
afterAll(() => storage?.close());

const fhir = Buffer.from('{"resourceType":"Patient","name":[{"family":"Canary"}]}');

describe('uploads', () => {
  let service: ContentsService;
  beforeEach(() => {
    service = new ContentsService(new ContentsStore(gateway), vault, { CONTENT_QUOTA_BYTES: 1_000 });
  });

  it('take no more room than a client has, whoever else uploads', async () => {
    const who = someCaller();
    const first = await service.upload(who, 'k1', 'text/plain', Buffer.alloc(600, 'a'));
    const refused = service.upload(who, 'k2', 'text/plain', Buffer.alloc(401, 'a'));
    await expect(refused).rejects.toMatchObject({ code: 'TOO_MANY_REQUESTS', options: { retryAfter: 3_600 } });
    // A retry needs no new room, and others have their own.
    expect(await service.upload(who, 'k1', 'text/plain', Buffer.alloc(600, 'a'))).toEqual(first);
    await service.upload(someCaller(), 'k2', 'text/plain', Buffer.alloc(401, 'a'));
    await service.upload(who, 'k2', 'text/plain', Buffer.alloc(400, 'a'));
    await gateway.query("UPDATE gateway.content SET expires_at = now() - interval '1 second' WHERE id = $1", [
      first.contentId,
    ]);
    await service.upload(who, 'k3', 'text/plain', Buffer.alloc(600, 'a'));
  });

  it('keep the bytes as received, sealed', async () => {
    const who = someCaller();
    const content = await service.upload(who, 'k', 'application/fhir+json', fhir);
    expect(content.sha256).toBe(`0x${createHash('sha256').update(fhir).digest('hex')}`);
    expect((await service.open(who, content.contentId)).bytes).toEqual(fhir);
    const [row] = await gateway.query('SELECT sealed FROM gateway.content WHERE id = $1', [content.contentId]);
    expect(row.sealed.includes('Canary')).toBe(false);
  });

  it('give the same content for the same key, and refuse other bytes under it', async () => {
    const who = someCaller();
    const first = await service.upload(who, 'k', 'application/fhir+json', fhir);
    expect(await service.upload(who, 'k', 'application/fhir+json', fhir)).toEqual(first);
    await expect(service.upload(who, 'k', 'text/plain', Buffer.from('other'))).rejects.toMatchObject({
      code: 'IDEMPOTENCY_MISMATCH',
    });
    expect((await service.upload(someCaller(), 'k', 'application/fhir+json', fhir)).contentId).not.toBe(
      first.contentId,
    );
  });

  it('can be cited only by who uploaded them, until they expire', async () => {
    const who = someCaller();
    const { contentId } = await service.upload(who, 'k', 'application/fhir+json', fhir);
    await expect(service.open(someCaller(), contentId)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await gateway.query("UPDATE gateway.content SET expires_at = now() - interval '1 second' WHERE id = $1", [
      contentId,
    ]);
    await expect(service.open(who, contentId)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    const again = await service.upload(who, 'k', 'text/plain', Buffer.from('an expired key starts anew'));
    expect(again.contentId).not.toBe(contentId);
    await gateway.query("UPDATE gateway.content SET expires_at = now() - interval '1 second' WHERE id = $1", [
      again.contentId,
    ]);
    expect(await new ContentsStore(gateway).removeExpired()).toBeGreaterThanOrEqual(1);
  });
});

describe('contents of record versions', () => {
  const store = () => new RecordContentsStore(gateway);

  async function kept(requestId = randomBytes(32)) {
    const recordId = vault.recordId(1, requestId);
    const contents = new RecordContents(store(), vault);
    const staged = { mediaType: 'text/plain', sha256: createHash('sha256').update(fhir).digest(), bytes: fhir };
    const sealed = contents.seal(requestId, { chainId: 80n, recordId, version: 1 }, staged);
    await gateway.transaction((manager) => contents.keep(manager, { recordId, version: 1, requestId }, sealed));
    return { contents, recordId, requestId, sealed };
  }

  async function decide(
    requestId: Buffer,
    recordId: Buffer,
    outcome: number,
    block: number,
    final: number,
    hospital = 1,
  ) {
    await mirror.query(
      `INSERT INTO mirror.cursor VALUES ('local', $1, '\\x00', $2, 1, '\\x00', 1, NULL)
       ON CONFLICT (network) DO UPDATE SET final_number = excluded.final_number`,
      [block, final],
    );
    await mirror.query(
      `INSERT INTO mirror.emr_event SELECT 'local', e.n, $1, $2, 1, e.n, '\\x00', 0,
         'x', $3, 1, $6, '\\x00', $4, 1, $5, NULL, '\\x00', '\\x00'
       FROM (SELECT count(*)::int + 1 AS n FROM mirror.emr_event) e`,
      [block, randomBytes(32), recordId, requestId, outcome, hospital],
    );
  }

  it('open by their key to what was sealed', async () => {
    const { contents, recordId, requestId, sealed } = await kept();
    const key = { recordId, version: 1, requestId };
    const wrapped = await store().findKey(key);
    const opened = await contents.open(key, sealed.contentHash, wrapped!);
    expect(opened).toEqual({ mediaType: 'text/plain', bytes: fhir });
    await expect(contents.open(key, randomBytes(32), wrapped!)).rejects.toThrow(/not the one on chain/);
  });

  it('stay until the decision is final, go when it was a refusal', async () => {
    const refused = await kept();
    const confirmed = await kept();
    const pending = await kept();
    const imitated = await kept();
    await decide(imitated.requestId, imitated.recordId, 6, 9, 9, 2);
    await decide(refused.requestId, refused.recordId, 6, 10, 9);
    expect(await store().settle(1)).toBe(0);
    await decide(confirmed.requestId, confirmed.recordId, 0, 10, 10);
    expect(await store().settle(1)).toBe(1);
    const key = (it: typeof refused) => ({ recordId: it.recordId, version: 1, requestId: it.requestId });
    expect(await store().find(key(refused))).toBeUndefined();
    expect(await store().findKey(key(refused))).toBeUndefined();
    expect(await store().find(key(confirmed))).toBeDefined();
    expect(await store().find(key(pending))).toBeDefined();
    expect(await store().findKey(key(imitated))).toBeDefined();
    expect(await store().settle(1)).toBe(0);
  });
});
