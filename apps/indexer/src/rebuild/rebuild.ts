import { setTimeout as sleep } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { connectRpc, type RpcTransport } from '../../../../libs/chain-client/src/rpc/transport.js';
import { createDataSource } from '../../../../libs/database/src/data-source.js';
import { inTransaction, pooled, type Query, queryOf } from '../../../../libs/database/src/transaction.js';
import type { NetworkConfig } from '../../../../libs/platform/src/networks.js';
import type { Position } from '../follow/chain-source.js';
import { RpcSource } from '../follow/rpc-source.js';
import { Lead } from '../lead/lead.js';
import { compareNetwork, type TableComparison } from './comparison.js';
import { NetworkRebuild, type RebuildProgress } from './network.rebuild.js';
import { copyStructure, differing, exists, type Partitioning, partitioningOf, structureOf } from './structure.js';
import { assertSwitchable, holdLive, LIVE, OLD, REBUILT, SwitchError, switchSchemas } from './switch.js';
import { TargetGoneError } from './until.source.js';

export interface RebuildOptions {
  /** Of the database's owner: schemas are made and renamed. */
  databaseUrl: string;
  networks: readonly NetworkConfig[];
  /** Throw away what an earlier rebuild left. */
  fresh?: boolean;
  /** Undefined: as the live mirror, but by month from `partitionFrom` events on. */
  partitioning?: Partitioning | undefined;
  /** Events from which on they are kept by month; undefined: however many there are, it isn't asked. */
  partitionFrom?: number | undefined;
  signal: AbortSignal;
  onProgress?: (progress: RebuildProgress) => void;
  onTable?: (comparison: TableComparison) => void;
  say: (line: string) => void;
}

export interface Comparison {
  tables: TableComparison[];
  /** What is wrong beside rows. */
  remarks: string[];
  equal: boolean;
}

const ATTEMPTS = 5;
const PAUSE_MS = 500;

/** A second mirror of the same chains, made beside the live one while that goes on. */
export class MirrorRebuild {
  private readonly transports: RpcTransport[] = [];
  private readonly clients: (() => Promise<void>)[] = [];
  private networks: NetworkRebuild[] = [];

  private constructor(
    private readonly options: RebuildOptions,
    private readonly dataSource: DataSource,
    private readonly lead: Lead,
  ) {}

  /** @throws Error when another rebuild of this mirror runs */
  static async begin(options: RebuildOptions): Promise<MirrorRebuild> {
    const dataSource = createDataSource({
      url: options.databaseUrl,
      applicationName: 'emr-rebuild',
      searchPath: REBUILT,
      poolSize: options.networks.length + 4,
    });
    await dataSource.initialize();
    try {
      // One that was just killed may hold the lock until its last statement has ended.
      const patience = AbortSignal.any([options.signal, AbortSignal.timeout(10_000)]);
      const lead = await Lead.acquire(dataSource, 'rebuild', patience, () => undefined).catch((error: unknown) => {
        if (options.signal.aborted || !patience.aborted) throw error;
        throw new Error('Another rebuild of this mirror is running: wait for it, or end it.');
      });
      return new MirrorRebuild(options, dataSource, lead);
    } catch (error) {
      await dataSource.destroy();
      throw error;
    }
  }

  async end(): Promise<void> {
    for (const release of this.clients) await release();
    await Promise.all(this.transports.map((transport) => transport.close()));
    await this.lead.release();
    await this.dataSource.destroy();
  }

  /** Whether a switch could follow, before hours are spent. @throws SwitchError */
  assertSwitchable(): Promise<void> {
    return assertSwitchable(this.query, this.names);
  }

  /** Makes the schema, or finds it as an earlier process left it. @param existing true: there must be one */
  async prepare(existing: boolean): Promise<void> {
    const { fresh, say, networks } = this.options;
    if (fresh) await dropSchema(this.query, REBUILT);
    if (!(await exists(this.query, LIVE))) throw new Error(`There is no schema ${LIVE}: run npm run migrate first.`);
    let found = await exists(this.query, REBUILT);
    if (existing && !found) throw new Error('Nothing has been rebuilt yet: run without --compare-only first.');
    if (!found) await this.make();
    else if (await this.isOutdated()) {
      say('What an earlier run left has another layout than is asked for now: beginning anew.');
      await dropSchema(this.query, REBUILT);
      await this.make();
      found = false;
    }
    for (const network of networks) {
      const rpc = connectRpc(network.rpc);
      this.transports.push(rpc);
      const rebuild = await NetworkRebuild.open(await this.client(), network, new RpcSource(rpc));
      this.networks.push(rebuild);
      say(`${network.name}: ${found ? 'going on' : 'beginning'} after block ${rebuild.tip.number}`);
    }
  }

  /** Writes until the rebuilt mirror is where the live one was a moment ago. */
  async build(): Promise<void> {
    await Promise.all(
      this.networks.map(async (rebuild) => {
        // A long way is gone in legs: the live mirror moves on meanwhile.
        for (;;) {
          const target = await this.targetOf(rebuild);
          if (target === undefined || target.number - rebuild.tip.number < 256n) return;
          await this.follow(rebuild, target);
        }
      }),
    );
  }

  /** Brings the rebuilt mirror to the very block of one snapshot of the live one, and compares. */
  async compare(): Promise<Comparison> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.withSnapshot((live) => this.compareWith(live, attempt === ATTEMPTS));
      } catch (error) {
        // The chain reorganised between the snapshot and now.
        if (!(error instanceof TargetGoneError) || attempt === ATTEMPTS) throw error;
        await sleep(PAUSE_MS, undefined, { signal: this.options.signal });
      }
    }
  }

  /** @throws SwitchError, after which nothing has changed */
  async switch(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      // A live mirror that stands beside the chain for good can't be met on a block; one that reorganises just now can, in a moment.
      const unlessLast = (error: unknown) => {
        if (!(error instanceof TargetGoneError) || attempt < ATTEMPTS) throw error;
      };
      await this.catchUp();
      try {
        return await inTransaction(this.dataSource, async (query) => {
          await query("SET LOCAL idle_in_transaction_session_timeout = '30s'");
          await assertSwitchable(query, this.names);
          const positions = await holdLive(query, this.names);
          // The live indexer waits from here: only what it wrote in the last moment is still to come.
          for (const rebuild of this.networks) {
            const target = positions.get(rebuild.network.name);
            if (target && !(await rebuild.contains(target))) await this.follow(rebuild, target).catch(unlessLast);
          }
          await switchSchemas(query);
        });
      } catch (error) {
        if (error instanceof SwitchError || attempt === ATTEMPTS) throw error;
        await sleep(PAUSE_MS, undefined, { signal: this.options.signal });
      }
    }
  }

  private async compareWith(live: Query, last: boolean): Promise<Comparison> {
    const tables: TableComparison[] = [];
    const remarks: string[] = [];
    for (const rebuild of this.networks) {
      const { name } = rebuild.network;
      const at = await positionIn(live, name);
      let through: bigint | undefined;
      try {
        if (at === undefined) throw new Error(`${name}: the live mirror holds nothing of it`);
        await this.follow(rebuild, at);
      } catch (error) {
        if (at !== undefined && !(last && error instanceof TargetGoneError)) throw error;
        await this.follow(rebuild, await rebuild.chainHead());
        through = await commonBlock(this.query, name);
        remarks.push(
          `${name}: the live mirror stands on ${at ? `block ${at.number}, which is not on the node's chain` : 'no block at all'}; ` +
            `histories are compared through block ${through}, states are not`,
        );
      }
      const sides = [
        { schema: LIVE, query: live },
        { schema: REBUILT, query: this.query },
      ] as const;
      tables.push(...(await compareNetwork(name, ...sides, through, (table) => this.options.onTable?.(table))));
      if (through === undefined) remarks.push(...(await compareCursor(live, this.query, name)));
    }
    const equal = remarks.length === 0 && tables.every(({ differences }) => differences.length === 0);
    return { tables, remarks, equal };
  }

  private async catchUp(): Promise<void> {
    for (const rebuild of this.networks) {
      const target = await this.targetOf(rebuild);
      if (target) await this.follow(rebuild, target);
    }
  }

  private follow(rebuild: NetworkRebuild, target: Position): Promise<void> {
    const signal = AbortSignal.any([this.options.signal, this.lead.lost]);
    return rebuild.to(target, signal, (progress) => this.options.onProgress?.(progress));
  }

  /** Where the live mirror stands; when that is no block of the chain, where the chain does. */
  private async targetOf(rebuild: NetworkRebuild): Promise<Position | undefined> {
    const live = await positionIn(this.query, rebuild.network.name);
    if (live && (await rebuild.isOnChain(live))) return live.number < rebuild.tip.number ? undefined : live;
    return rebuild.chainHead();
  }

  private async make(): Promise<void> {
    await inTransaction(this.dataSource, async (query) => {
      const partitioning = this.options.partitioning ?? (await this.fittingPartitioning(query));
      if (partitioning === 'month') this.options.say('events are kept by month');
      await copyStructure(query, LIVE, REBUILT, partitioning);
    });
  }

  private async fittingPartitioning(query: Query): Promise<Partitioning> {
    const [row] = await query<{ events: string }>(`SELECT coalesce(sum(sequence), 0) AS events FROM ${LIVE}.cursor`);
    const many = Number(row?.events) >= (this.options.partitionFrom ?? Number.POSITIVE_INFINITY);
    return many ? 'month' : partitioningOf(query, LIVE);
  }

  private isOutdated(): Promise<boolean> {
    const { partitioning } = this.options;
    return inTransaction(this.dataSource, async (query) => {
      if (partitioning && (await partitioningOf(query, REBUILT)) !== partitioning) return true;
      return differing(await structureOf(query, LIVE), await structureOf(query, REBUILT)).length > 0;
    });
  }

  /** One moment of the live mirror, however long it is looked at. */
  private async withSnapshot<T>(work: (query: Query) => Promise<T>): Promise<T> {
    const runner = this.dataSource.createQueryRunner();
    const query = queryOf((await runner.connect()) as PoolClient);
    try {
      await query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      return await work(query);
    } finally {
      await query('ROLLBACK').catch(() => undefined);
      await runner.release();
    }
  }

  private async client(): Promise<PoolClient> {
    const runner = this.dataSource.createQueryRunner();
    this.clients.push(() => runner.release().catch(() => undefined));
    return (await runner.connect()) as PoolClient;
  }

  private get names(): string[] {
    return this.options.networks.map(({ name }) => name);
  }

  private get query(): Query {
    return pooled(this.dataSource);
  }
}

/** Removes what was rebuilt, or what was live before the last switch. @returns whether there was anything */
export async function dropLeftover(databaseUrl: string, schema: typeof REBUILT | typeof OLD): Promise<boolean> {
  const dataSource = createDataSource({ url: databaseUrl, applicationName: 'emr-rebuild', poolSize: 1 });
  await dataSource.initialize();
  try {
    return await dropSchema(pooled(dataSource), schema);
  } finally {
    await dataSource.destroy();
  }
}

async function dropSchema(query: Query, schema: typeof REBUILT | typeof OLD): Promise<boolean> {
  if (!(await exists(query, schema))) return false;
  await query(`DROP SCHEMA ${schema} CASCADE`);
  return true;
}

async function positionIn(query: Query, network: string): Promise<Position | undefined> {
  const [row] = await query<{ number: string; hash: Buffer }>(
    `SELECT number, hash FROM ${LIVE}.cursor WHERE network = $1`,
    [network],
  );
  return row && { number: BigInt(row.number), hash: row.hash };
}

/** The last block that both mirrors have alike; -1 when there is none. */
async function commonBlock(query: Query, network: string): Promise<bigint> {
  const [row] = await query<{ number: string | null }>(
    `SELECT max(l.number) AS number FROM ${LIVE}.block l JOIN ${REBUILT}.block r USING (network, number)
     WHERE l.network = $1 AND l.hash = r.hash`,
    [network],
  );
  return BigInt(row?.number ?? -1);
}

async function compareCursor(live: Query, rebuilt: Query, network: string): Promise<string[]> {
  const read = async (query: Query, schema: string) => {
    const [row] = await query<{ sequence: string; head: string }>(
      `SELECT sequence, encode(head, 'hex') AS head FROM ${schema}.cursor WHERE network = $1`,
      [network],
    );
    return `sequence ${row?.sequence} and head 0x${row?.head}`;
  };
  const [left, right] = [await read(live, LIVE), await read(rebuilt, REBUILT)];
  return left === right ? [] : [`cursor of ${network}: the live mirror says ${left}, the chain ${right}`];
}
