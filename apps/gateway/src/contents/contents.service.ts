import { createHash, randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { packWrapped, unpackWrapped, Vault } from '../../../../libs/vault/src/vault.js';
import type { Caller } from '../auth/caller.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { toInstant } from '../http/fields.js';
import { checkContent, parseMediaType } from './content.media-type.js';
import type { Content } from './contents.schema.js';
import { type ContentRow, ContentsStore } from './contents.store.js';

/** Content as it was received, opened. */
export interface StagedContent {
  mediaType: string;
  sha256: Buffer;
  bytes: Buffer;
}

@Injectable()
export class ContentsService {
  constructor(
    private readonly store: ContentsStore,
    private readonly vault: Vault,
    @Inject(GATEWAY_ENV) private readonly env: Pick<GatewayEnv, 'CONTENT_QUOTA_BYTES'>,
  ) {}

  /**
   * Keeps `bytes`, sealed, until an open or an amend of the same caller cites them, an hour at most.
   * @throws ProblemError TOO_MANY_REQUESTS when the caller's uploads of the last hour leave no room for them
   */
  async upload(caller: Caller, key: string, contentType: string | undefined, bytes: Buffer): Promise<Content> {
    const mediaType = parseMediaType(contentType);
    checkContent(mediaType, bytes);
    const id = `ct_${randomBytes(16).toString('hex')}`;
    const sha256 = createHash('sha256').update(bytes).digest();
    const idempotencyHash = this.vault.fingerprint('content', key);
    // Bound to whose it is, not to the id: a repeat under the same key keeps the first upload's row.
    const sealed = packWrapped(this.vault.wrap(bytes, associatedData(caller.principal, sha256)));
    const row = await this.store.insertOrFind(
      { id, principal: caller.principal, idempotencyHash, mediaType, size: bytes.length, sha256, sealed },
      this.env.CONTENT_QUOTA_BYTES,
    );
    if ('over' in row) {
      throw new ProblemError('TOO_MANY_REQUESTS', {
        detail: 'Your uploads of the last hour take all the room you have; each makes room again when it expires.',
        retryAfter: row.over,
      });
    }
    if (!row.sha256.equals(sha256) || row.media_type !== mediaType) throw new ProblemError('IDEMPOTENCY_MISMATCH');
    return present(row);
  }

  /** @throws ProblemError INVALID_INPUT (pointer /contentId) unless it is the caller's own and hasn't expired */
  async open(caller: Caller, contentId: string): Promise<StagedContent> {
    const row = await this.store.find(contentId, caller.principal);
    if (!row) {
      throw new ProblemError('INVALID_INPUT', {
        errors: [{ pointer: '/contentId', message: 'no content of yours, or it expired: upload it again' }],
      });
    }
    const bytes = this.vault.unwrap(unpackWrapped(row.sealed), associatedData(caller.principal, row.sha256));
    return { mediaType: row.media_type, sha256: row.sha256, bytes };
  }
}

function associatedData(principal: Buffer, sha256: Buffer): Buffer {
  return Buffer.concat([Buffer.from('staged-content'), principal, sha256]);
}

function present(row: ContentRow): Content {
  return {
    contentId: row.id,
    size: row.size,
    sha256: toHex(row.sha256),
    mediaType: row.media_type,
    expiresAt: toInstant(row.expires_at),
  };
}
