import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { Inject, Injectable } from '@nestjs/common';
import { Vault } from '../../../../libs/vault/src/vault.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { AccessLogChain } from './access-log-chain.service.js';
import { AccessLogExport } from './access-log-export.js';
import { signManifest } from './export.manifest.js';
import { type ExportRow, ExportStore } from './export.store.js';

/** Exports of the access log, whole from its first entry: what ExportService does for events, for entries that live in this database alone. */
@Injectable()
export class AccessLogExportService {
  constructor(
    private readonly chain: AccessLogChain,
    private readonly store: ExportStore,
    private readonly vault: Vault,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
  ) {}

  /** Up to the last entry that is linked now. */
  async plan(): Promise<Omit<ExportRow, 'manifest'>> {
    const { sequence } = await this.chain.head();
    const plan = { asked: {}, kind: 'access-log' as const, filter: {}, networks: [], through: sequence };
    return { id: randomBytes(16), createdAt: new Date(), format: 'ndjson', plan };
  }

  stream(row: ExportRow, name: string): Readable {
    return Readable.from(this.#bytes(row, name), { highWaterMark: 1 });
  }

  async *#bytes(row: ExportRow, name: string): AsyncGenerator<Buffer> {
    const writer = new AccessLogExport();
    yield* writer.content(this.chain.links('0', row.plan.through));
    const unsigned = {
      format: 'emr-access-log/1' as const,
      id: name,
      hospital: this.env.HOSPITAL_ID,
      createdAt: row.createdAt.toISOString(),
      ...writer.totals(),
    };
    await this.store.complete(row.id, signManifest(unsigned, this.vault));
  }
}
