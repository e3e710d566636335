import type { PoolClient } from 'pg';
import { binaryArray } from '../../../../libs/database/src/binary-array.js';
import { beginWithCopies, type CopyColumn, type EncodedCopy, encodeCopy } from '../../../../libs/database/src/copy.js';
import type { NetworkConfig } from '../../../../libs/platform/src/networks.js';
import type { Position } from '../follow/chain-source.js';
import type { Key, Projection } from '../project/projection.js';
import { projections } from '../project/projections.js';
import { Projector } from '../project/projector.js';
import type { FoldedBlock, LedgerState } from '../verify/ledger.fold.js';
import { type BesideCheckpoint, type Checkpoint, checkpointAt } from './checkpoint.js';
import { EventPartitions } from './event-partitions.js';
import type { Extension, Mirror, MirrorState, Replacement } from './mirror.js';
import {
  blockRow,
  blockTable,
  eventRow,
  eventTable,
  inclusionRows,
  inclusionTable,
  noticeRow,
  noticeTable,
} from './mirror.tables.js';
import { setOrphansAside } from './orphans.js';
import { Senders } from './senders.js';
import { type Statement, StatementBuilder } from './statement.js';
import { type AnyRow, type Column, fromSql, sqlName, sqlType, type Table } from './table.js';

interface CursorRow {
  number: string;
  hash: Buffer;
  final_number: string;
  sequence: string;
  head: Buffer;
  /** Sequence of the last checkpoint, 0 when there is none. */
  checkpointed: string;
}

/** Where a chaos run may end the indexer. */
export type MirrorFailpoint = 'before-mirror-commit' | 'in-mirror-commit' | 'after-mirror-commit';

const CHECKPOINT_EVENTS = 1_000n;
/** From so many events on a commit copies its rows. Below, one statement and one round trip are quicker. */
const COPIED_EVENTS = 200;

interface Insert {
  table: Table;
  rows: readonly AnyRow[];
}

/** The mirror of one network in Postgres, on the connection that holds the lead. */
export class PostgresMirror implements Mirror {
  private readonly projector: Projector;
  private readonly partitions: EventPartitions;
  private state: MirrorState | undefined;
  private senders: Senders | undefined;
  private nextCheckpoint = 0n;

  /** @param epoch raised by each process that takes the lead: a commit under an older one fails */
  constructor(
    private readonly client: PoolClient,
    private readonly network: NetworkConfig,
    private readonly epoch: bigint,
    private readonly failpoint: (name: MirrorFailpoint) => void = () => undefined,
  ) {
    this.partitions = new EventPartitions(client);
    this.projector = new Projector(projections, (projection, keys) => this.loadRows(projection, keys));
  }

  async load(): Promise<MirrorState> {
    const { rows } = await this.client.query<CursorRow>(
      `SELECT number, hash, final_number, sequence, head,
         COALESCE((SELECT max(sequence) FROM checkpoint WHERE network = $1), 0) AS checkpointed
       FROM cursor WHERE network = $1`,
      [this.network.name],
    );
    const row = rows[0];
    if (!row) throw new Error(`The mirror has no cursor for the network ${this.network.name}.`);
    this.forget();
    await this.partitions.load();
    this.nextCheckpoint = BigInt(row.checkpointed) + CHECKPOINT_EVENTS;
    this.state = {
      tip: { number: BigInt(row.number), hash: row.hash },
      finalNumber: BigInt(row.final_number),
      ledger: { sequence: BigInt(row.sequence), head: row.head },
    };
    return this.state;
  }

  async hashAt(number: bigint): Promise<Buffer | undefined> {
    const { rows } = await this.client.query<{ hash: Buffer }>(
      'SELECT hash FROM block WHERE network = $1 AND number = $2',
      [this.network.name, number.toString()],
    );
    return rows[0]?.hash;
  }

  async ledgerAt(number: bigint): Promise<LedgerState> {
    const { rows } = await this.client.query<{ sequence: string; head: Buffer }>(
      'SELECT sequence, head FROM block WHERE network = $1 AND number = $2',
      [this.network.name, number.toString()],
    );
    const row = rows[0];
    if (!row) throw new Error(`Block ${number} of the network ${this.network.name} is not stored.`);
    return { sequence: BigInt(row.sequence), head: row.head };
  }

  async prepare(extension: Extension): Promise<() => Promise<void>> {
    const { tip } = this.current;
    const write = await this.orUnload(() => this.prepareOn(tip, extension));
    return () =>
      this.orUnload(async () => {
        await write();
        this.failpoint('after-mirror-commit');
      });
  }

  async reorganise(replacement: Replacement): Promise<void> {
    const { tip } = this.current;
    this.forget();
    await this.orUnload(async () => {
      await this.transaction(async () => {
        await setOrphansAside(this.client, {
          network: this.network.name,
          epoch: this.epoch,
          ancestor: replacement.ancestor,
          ancestorLedger: await this.ledgerAt(replacement.ancestor.number),
          oldTip: tip,
          newTip: positionOf(replacement.blocks.at(-1) as FoldedBlock),
        });
        const write = await this.prepareOn(replacement.ancestor, replacement, 'open');
        await write();
      });
      this.failpoint('after-mirror-commit');
    });
  }

  /**
   * Where the ledger stood at a final block, every thousand events or so: what a proof can start from.
   * @param page blocks that needn't be read, as they were just committed
   * @returns undefined when none is due
   */
  async dueCheckpoint(finalNumber: bigint, page: readonly FoldedBlock[]): Promise<Checkpoint | undefined> {
    // What is prepared counts as well, so this alone doesn't say that one is due.
    if (this.current.ledger.sequence < this.nextCheckpoint) return undefined;
    const checkpoint = checkpointAt(finalNumber, page) ?? (await this.storedCheckpoint(finalNumber));
    return checkpoint && checkpoint.sequence >= this.nextCheckpoint ? checkpoint : undefined;
  }

  /** Once: where there is one for the block already, that stays. */
  async keepCheckpoint(
    { number, hash, sequence, head }: Checkpoint,
    { proof, missing, witnessHash }: BesideCheckpoint = {},
  ): Promise<void> {
    await this.client.query(
      `INSERT INTO checkpoint (network, block_number, block_hash, sequence, head, proof, proof_missing, witness_hash)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
       ON CONFLICT (network, block_number) DO NOTHING`,
      [this.network.name, number.toString(), hash, sequence.toString(), head, proof, missing, witnessHash],
    );
    this.nextCheckpoint = sequence + CHECKPOINT_EVENTS;
  }

  /** The incident of a history that was replaced beyond finality: noted once, however often the process starts on it. */
  async noteReplaced({ number, given }: { number: bigint; given: Buffer }): Promise<void> {
    const { tip } = this.current;
    await this.client.query(
      `INSERT INTO reorganisation (network, ancestor_number, old_tip, new_tip, depth, beyond_finality)
       SELECT $1, $2, $3, $4, $5, true
       WHERE NOT EXISTS (SELECT FROM reorganisation WHERE network = $1 AND old_tip = $3 AND beyond_finality)`,
      [this.network.name, (number - 1n).toString(), tip.hash, given, (tip.number - number + 1n).toString()],
    );
  }

  private async storedCheckpoint(number: bigint): Promise<Checkpoint | undefined> {
    const { rows } = await this.client.query<{ hash: Buffer; header: Buffer; sequence: string; head: Buffer }>(
      'SELECT hash, header, sequence, head FROM block WHERE network = $1 AND number = $2',
      [this.network.name, number.toString()],
    );
    return rows[0] && { ...rows[0], number, sequence: BigInt(rows[0].sequence) };
  }

  private get current(): MirrorState {
    if (!this.state) throw new Error('The mirror is written before it was loaded, or after a commit that failed.');
    return this.state;
  }

  /**
   * All that can be done before the commit before this one has ended: rows that are read meanwhile are read behind its own.
   * @param transaction `open`: there is one, which takes in what is written; else it is committed here
   */
  private async prepareOn(
    parent: Position,
    { blocks, finalNumber }: Extension,
    transaction: 'open' | 'own' = 'own',
  ): Promise<() => Promise<void>> {
    const last = blocks.at(-1) as FoldedBlock;
    const events = blocks.flatMap((block) => block.events);
    await this.partitions.cover(events);
    const senders = await this.knownSenders();
    const inserts: Insert[] = [
      { table: blockTable, rows: blocks.map(blockRow) },
      { table: inclusionTable, rows: blocks.flatMap((block) => inclusionRows(block, senders)) },
      { table: eventTable, rows: events.map(eventRow) },
      { table: noticeTable, rows: blocks.flatMap(({ notices }) => notices.map(noticeRow)) },
    ];
    const copied = transaction === 'own' && events.length >= COPIED_EVENTS;
    const builder = new StatementBuilder(this.network.name);
    if (!copied) for (const { table, rows } of inserts) builder.insert(table, rows);
    for (const change of await this.projector.apply(events)) builder.change(change);
    const tip = positionOf(last);
    const statement = builder.build({
      network: this.network.name,
      epoch: this.epoch,
      parentHash: parent.hash,
      ...tip,
      finalNumber,
      sequenceBefore: last.state.sequence - BigInt(events.length),
      ...last.state,
    });
    const copies = copied ? inserts.filter(({ rows }) => rows.length > 0).map((insert) => this.copyOf(insert)) : [];
    this.state = { tip, finalNumber, ledger: last.state };
    return async () => {
      this.failpoint('before-mirror-commit');
      const committed = copied ? this.commitCopied(statement, copies) : this.client.query(statement);
      this.failpoint('in-mirror-commit');
      await committed;
    };
  }

  /** The statement, and rows by COPY, which costs the server less where they are many. */
  private async commitCopied(statement: Statement, copies: readonly EncodedCopy[]): Promise<void> {
    try {
      const landed = await beginWithCopies(this.client, statement, copies);
      for (const [index, { table, rows }] of copies.entries()) {
        if (landed[index] !== rows) {
          throw new Error(`${landed[index]} rows of ${table} landed where ${rows} were sent.`);
        }
      }
      await this.client.query('COMMIT');
    } catch (error) {
      await this.client.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  }

  private copyOf({ table, rows }: Insert): EncodedCopy {
    const columns: CopyColumn[] = [{ name: 'network', type: 'text', value: this.network.name }];
    for (const [property, column] of Object.entries(table.columns)) {
      columns.push({ name: sqlName(property), type: sqlType(column), property });
    }
    return encodeCopy({ table: table.name, columns, rows });
  }

  private async transaction<T>(work: () => Promise<T>): Promise<T> {
    await this.client.query('BEGIN');
    try {
      const result = await work();
      await this.client.query('COMMIT');
      return result;
    } catch (error) {
      await this.client.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  }

  /** Who may send to the ledger, as far as the stored events tell. */
  private async knownSenders(): Promise<Senders> {
    if (this.senders) return this.senders;
    const { rows } = await this.client.query<{ hospital: string; address: Buffer }>(
      'SELECT hospital, address FROM relayer WHERE network = $1 AND active',
      [this.network.name],
    );
    this.senders = new Senders(rows.map(({ hospital, address }) => ({ hospital: Number(hospital), address })));
    return this.senders;
  }

  /** What was prepared on what failed is worth nothing: the mirror is to be loaded again. */
  private async orUnload<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.forget();
      this.state = undefined;
      throw error;
    }
  }

  /** Rows that may be others now. */
  private forget(): void {
    this.projector.forget();
    this.partitions.forget();
    this.senders = undefined;
  }

  private async loadRows({ table }: Projection, keys: readonly Key[]): Promise<AnyRow[]> {
    const columns = table.key.map(sqlName);
    const types = table.key.map((property) => sqlType(table.columns[property] as Column));
    const arrays = types.map((type, index) =>
      binaryArray(
        type,
        keys.map((key) => key[index] as Buffer | bigint | number),
      ),
    );
    const unnest = types.map((type, index) => `$${index + 2}::${type}[]`).join(', ');
    const { rows } = await this.client.query({
      name: `load_${table.name}`,
      text: `SELECT t.* FROM unnest(${unnest}) AS k(${columns.join(', ')})
        JOIN ${table.name} AS t ON t.network = $1 AND ${columns.map((column) => `t.${column} = k.${column}`).join(' AND ')}`,
      values: [this.network.name, ...arrays],
    });
    return rows.map((row) => fromSql(table, row));
  }
}

function positionOf({ block }: FoldedBlock): Position {
  return { number: block.number, hash: block.hash };
}
