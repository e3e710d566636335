import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { Vault, type Wrapped } from '../../../../libs/vault/src/vault.js';
import { BoundedCache } from '../keys/bounded-cache.js';
import type { StagedContent } from './contents.service.js';
import { RecordContentsStore, type VersionKey } from './record-contents.store.js';
import {
  type ContentPlace,
  type Manifest,
  openVerified,
  placeBytes,
  type SealedContent,
  sealContent,
  verifySealed,
} from './sealed-content.js';

/** Ciphertext kept in memory at most. Keys are never kept: each opening reads its key, so an erased key closes at once. */
const CACHED_BYTES = 64 * 1024 * 1024;

interface VerifiedContent {
  manifest: Manifest;
  ciphertext: Buffer;
}

/** Contents of record versions: sealed, stored, opened. */
@Injectable()
export class RecordContents {
  readonly #verified = new BoundedCache<string, VerifiedContent>(
    CACHED_BYTES,
    ({ ciphertext }) => ciphertext.length + 512,
  );

  constructor(
    private readonly store: RecordContentsStore,
    private readonly vault: Vault,
  ) {}

  /** Encrypts for a record version. The same request and content give the same bytes, also after the loss of the database. */
  seal(requestId: Buffer, place: ContentPlace, content: StagedContent): SealedContent & { dek: Buffer } {
    const keys = this.vault.deriveContentKeys(requestId, content.sha256, placeBytes(place));
    return { ...sealContent(content.bytes, content.mediaType, place, keys), dek: keys.dek };
  }

  /** Stores sealed content and its wrapped key: in the commit that accepts the act, or not at all. */
  async keep(manager: EntityManager, key: VersionKey, sealed: SealedContent & { dek: Buffer }): Promise<void> {
    await this.store.insert(manager, key, sealed, this.vault.wrap(sealed.dek, keyPlace(key)));
  }

  /** The stored content of a confirmed version of a record, its parts and its opened key; undefined when it isn't here. */
  async sealedVersion(
    network: string,
    recordId: Buffer,
    version: number,
  ): Promise<(SealedContent & { dek: Buffer }) | undefined> {
    const key = await this.store.findConfirmed(network, recordId, version);
    const [content, wrapped] = key ? await Promise.all([this.store.find(key), this.store.findKey(key)]) : [];
    if (!key || !content || !wrapped) return undefined;
    return {
      manifest: content.manifest,
      contentHash: content.content_hash,
      ciphertext: content.ciphertext,
      dek: this.vault.unwrap(wrapped, keyPlace(key)),
    };
  }

  /**
   * Decrypts the content that the ledger names `contentHash`, verified against it.
   * @returns undefined when it was erased @throws ContentDamaged
   */
  async open(
    key: VersionKey,
    contentHash: Buffer,
    wrapped: Wrapped,
  ): Promise<{ mediaType: string; bytes: Buffer } | undefined> {
    const name = contentHash.toString('latin1');
    let verified = this.#verified.get(name);
    if (!verified) {
      const stored = await this.store.find(key);
      if (!stored) return undefined;
      const sealed = { manifest: stored.manifest, contentHash, ciphertext: stored.ciphertext };
      verified = { manifest: verifySealed(sealed), ciphertext: stored.ciphertext };
      this.#verified.set(name, verified);
    }
    return openVerified(verified.manifest, verified.ciphertext, this.vault.unwrap(wrapped, keyPlace(key)));
  }
}

function keyPlace({ recordId, version, requestId }: VersionKey): Buffer {
  const place = Buffer.alloc(68);
  recordId.copy(place);
  place.writeUInt32BE(version, 32);
  requestId.copy(place, 36);
  return place;
}
