import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { Inject, Injectable } from '@nestjs/common';
import { fromHex, toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { Logger } from '../../../../libs/platform/src/logger.js';
import { type NetworksConfig, networkOf } from '../../../../libs/platform/src/networks.js';
import { ZERO_HEAD } from '../../../../libs/proof/src/head.js';
import { Vault } from '../../../../libs/vault/src/vault.js';
import type { Caller } from '../auth/caller.js';
import { LOGGER, NETWORKS } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { toInstant } from '../http/fields.js';
import { AccessLog } from './access-log.service.js';
import { AccessLogExportService } from './access-log-export.service.js';
import { AuditService, type EventScope } from './audit.service.js';
import { AuditStore } from './audit.store.js';
import type { EventFilter } from './event-filter.sql.js';
import { signManifest } from './export.manifest.js';
import type { ExportBody, ExportRequest, Manifest } from './export.schema.js';
import {
  type ExportPlan,
  type ExportRow,
  type ExportSnapshot,
  ExportStore,
  type PlannedNetwork,
} from './export.store.js';
import { ExportWriter, type NetworkTotals } from './export.writer.js';

/** Each holds a snapshot and a core: more at once would slow down everything else. */
const AT_ONCE = 2;

/**
 * Exports of the audit trail: asked for, then fetched, then the manifest of what was fetched. The bytes are a function of the plan, so that nothing
 * of them is kept here; memory holds some hundred rows, however many there are.
 */
@Injectable()
export class ExportService {
  #running = 0;

  constructor(
    private readonly audit: AuditService,
    private readonly events: AuditStore,
    private readonly store: ExportStore,
    private readonly accessLog: AccessLog,
    private readonly accessLogs: AccessLogExportService,
    private readonly vault: Vault,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  async create(caller: Caller, { of, format, ...request }: ExportRequest): Promise<ExportBody> {
    if (of === 'access-log') {
      const row = await this.accessLogs.plan();
      await this.accessLog.record(caller, { kind: 'access-log', detail: { export: exportName(row) } });
      await this.store.insert({ ...row, principal: caller.principal });
      return present({ ...row, manifest: null });
    }
    const { patient, ...named } = request;
    const asked = { ...named, ...(patient ? { patient: true } : {}) };
    const row = { id: randomBytes(16), createdAt: new Date(), format, manifest: null };
    const plan = await this.#plan(await this.audit.scopeOf(caller, request), asked);
    await this.accessLog.record(caller, { kind: 'audit', detail: { export: exportName(row), format, ...asked } });
    await this.store.insert({ ...row, plan, principal: caller.principal });
    return present({ ...row, plan });
  }

  async view(caller: Caller, id: string): Promise<ExportBody> {
    const row = await this.#find(id);
    await this.accessLog.record(caller, { kind: 'audit', detail: { export: id } });
    return present(row);
  }

  /** @throws ProblemError CONFLICT before the content was made to its end */
  async manifest(caller: Caller, id: string): Promise<string> {
    const { manifest } = await this.#find(id);
    if (manifest === null) {
      throw new ProblemError('CONFLICT', {
        detail: `Fetch /v1/audit/exports/${id}/content to its end first: the manifest is about its bytes.`,
      });
    }
    await this.accessLog.record(caller, { kind: 'audit', detail: { export: id, manifest: true } });
    return manifest;
  }

  /**
   * The bytes, as fast as they are taken. That they were asked for is in the access log before the first of them leaves.
   * @throws ProblemError CONFLICT when a reorganisation replaced what was final; TOO_MANY_REQUESTS when others are being made
   */
  async content(caller: Caller, id: string): Promise<{ format: ExportRow['format']; stream: Readable }> {
    const row = await this.#find(id);
    if (row.plan.kind === 'access-log') {
      await this.accessLog.record(caller, { kind: 'access-log', detail: { export: id, content: true } });
      return { format: row.format, stream: this.accessLogs.stream(row, id) };
    }
    if (this.#running >= AT_ONCE) {
      throw new ProblemError('TOO_MANY_REQUESTS', {
        detail: `${AT_ONCE} exports are being fetched; wait for one to end.`,
        retryAfter: 30,
      });
    }
    this.#running++;
    let snapshot: ExportSnapshot | undefined;
    const end = async () => {
      this.#running--;
      await snapshot?.close();
    };
    try {
      snapshot = await this.store.openSnapshot();
      for (const { name, through } of row.plan.networks) {
        const hash = await snapshot.blockHash(name, through.block);
        if (hash === undefined || toHex(hash) !== through.hash) {
          throw new ProblemError('CONFLICT', {
            detail: `Block ${through.block} of ${name}, final when this export was asked for, was replaced. Ask for a new one.`,
          });
        }
      }
      await this.accessLog.record(caller, { kind: 'audit', detail: { export: id, content: true } });
    } catch (error) {
      await end();
      throw error;
    }
    const stream = Readable.from(this.#bytes(row, snapshot), { highWaterMark: 1 });
    stream.once('close', () => void end().catch(() => undefined));
    return { format: row.format, stream };
  }

  async *#bytes(row: ExportRow, snapshot: ExportSnapshot): AsyncGenerator<Buffer> {
    const { kind, networks } = row.plan;
    const filter = readFilter(row.plan.filter);
    const writer = new ExportWriter(row.format, kind);
    const head = writer.begin();
    if (head.length > 0) yield head;
    const totals: NetworkTotals[] = [];
    for (const network of networks) {
      const own = writer.totalsFor(network);
      totals.push(own);
      for await (const rows of snapshot.events({ network: network.name, ...network }, filter))
        yield writer.write(rows, own);
      this.#assertHead(row, network, own);
    }
    const manifest = this.#manifestOf(row, writer, totals);
    await this.store.complete(row.id, manifest);
  }

  /** What is handed out must be what was verified when it was mirrored. */
  #assertHead(row: ExportRow, { name, through }: PlannedNetwork, { last, head }: NetworkTotals): void {
    if (row.plan.kind !== 'whole' || String(last) !== through.sequence || (head && toHex(head) === through.head))
      return;
    this.logger.error(
      { alarm: true, runbook: 'mirror-altered', network: name, sequence: through.sequence },
      'the rows of the mirror give another head than its blocks have',
    );
    throw new Error(`the rows of ${name} give another head than its blocks have`);
  }

  #manifestOf(row: ExportRow, writer: ExportWriter, totals: readonly NetworkTotals[]): string {
    const unsigned = {
      format: 'emr-export/1' as const,
      id: exportName(row),
      hospital: this.env.HOSPITAL_ID,
      createdAt: row.createdAt.toISOString(),
      media: row.format,
      kind: row.plan.kind as Manifest['kind'],
      filter: row.plan.asked,
      rows: String(totals.reduce((sum, { rows }) => sum + rows, 0n)),
      bytes: String(writer.bytes),
      sha256: writer.sha256(),
      networks: row.plan.networks.map(({ name, through }, index) => {
        const { rows, first, last, previousHead, head } = totals[index] as NetworkTotals;
        return {
          name,
          contract: toHex(networkOf(this.networks, name).contract),
          rows: String(rows),
          first: first === null ? null : String(first),
          last: last === null ? null : String(last),
          previousHead: previousHead && toHex(previousHead),
          head: head && toHex(head),
          through,
        };
      }),
    };
    return signManifest(unsigned, this.vault);
  }

  async #plan({ confirmed, ranges, filter }: EventScope, asked: Record<string, unknown>): Promise<ExportPlan> {
    const filters = Object.keys(filter);
    const kind = filters.length === 0 ? 'whole' : filters.join() === 'recordId' ? 'record' : 'selection';
    const networks = await Promise.all(
      ranges.map(async ({ network, from, to }) => {
        const { block, hash, sequence, head } = confirmed.find((one) => one.network === network)!;
        const before =
          from === 1n
            ? ZERO_HEAD
            : from > BigInt(sequence)
              ? head
              : await this.events.headBefore(network, String(from));
        return {
          name: network,
          from: String(from),
          to: String(to),
          previousHead: toHex(before ?? ZERO_HEAD),
          through: { block, hash: toHex(hash), sequence, head: toHex(head) },
        };
      }),
    );
    return { asked, kind, filter: writeFilter(filter), networks };
  }

  async #find(id: string): Promise<ExportRow> {
    const row = await this.store.find(Buffer.from(id.slice(3), 'hex'));
    if (!row) throw new ProblemError('NOT_FOUND');
    return row;
  }
}

function exportName({ id }: Pick<ExportRow, 'id'>): string {
  return `ex_${id.toString('hex')}`;
}

function present(row: ExportRow): ExportBody {
  const path = `/v1/audit/exports/${exportName(row)}`;
  return {
    id: exportName(row),
    format: row.format,
    kind: row.plan.kind,
    createdAt: toInstant(row.createdAt),
    complete: row.manifest !== null,
    links: { content: `${path}/content`, manifest: `${path}/manifest` },
  };
}

function writeFilter(filter: EventFilter): ExportPlan['filter'] {
  const plain = (value: EventFilter[keyof EventFilter]) =>
    Array.isArray(value) ? value.map(toHex) : Buffer.isBuffer(value) ? toHex(value) : value;
  return Object.fromEntries(
    Object.entries(filter).map(([name, value]) => [name, plain(value)]),
  ) as ExportPlan['filter'];
}

function readFilter(filter: ExportPlan['filter']): EventFilter {
  const bytes = (value: ExportPlan['filter'][string]) =>
    Array.isArray(value)
      ? value.map((one) => fromHex(one))
      : typeof value === 'string' && value.startsWith('0x')
        ? fromHex(value)
        : value;
  return Object.fromEntries(Object.entries(filter).map(([name, value]) => [name, bytes(value)]));
}
