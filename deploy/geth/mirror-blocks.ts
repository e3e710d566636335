import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';

/** The block up to which the mirror of a network holds everything. Hashes 0x-hex. */
export interface MirrorCursor {
  number: bigint;
  hash: string;
  finalNumber: bigint;
}

const PAGE = 500;
// undefined table, undefined schema: a database that hasn't been migrated has confirmed nothing
const NOT_MIGRATED = new Set(['42P01', '3F000']);

/** What the indexer stored of one network: read only, and only what a node needs to be whole again. */
export class MirrorBlocks {
  private constructor(
    private readonly client: pg.Client,
    private readonly network: string,
  ) {}

  /** @throws Error when the database can't be reached */
  static async open(url: string, network: string): Promise<MirrorBlocks> {
    const client = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: 5_000,
      application_name: 'emr-supervisor',
    });
    client.on('error', () => {}); // a lost connection shows in the next query
    await client.connect();
    return new MirrorBlocks(client, network);
  }

  /** undefined: the mirror has nothing of this network yet */
  async cursor(): Promise<MirrorCursor | undefined> {
    const { rows } = await this.client
      .query('SELECT number, hash, final_number FROM mirror.cursor WHERE network = $1', [this.network])
      .catch((error) => {
        if (NOT_MIGRATED.has(error.code)) return { rows: [] };
        throw error;
      });
    const row = rows[0];
    return row && { number: BigInt(row.number), hash: hex(row.hash), finalNumber: BigInt(row.final_number) };
  }

  /** Hash of the block the mirror holds at a height; undefined when it holds none there. */
  async hashAt(number: bigint): Promise<string | undefined> {
    const { rows } = await this.client.query('SELECT hash FROM mirror.block WHERE network = $1 AND number = $2', [
      this.network,
      String(number),
    ]);
    return rows[0] && hex(rows[0].hash);
  }

  /** Lowest height the mirror holds; it starts at the block the contract was deployed in. */
  async lowest(): Promise<bigint | undefined> {
    const { rows } = await this.client.query('SELECT min(number) AS number FROM mirror.block WHERE network = $1', [
      this.network,
    ]);
    return rows[0]?.number === null || rows[0] === undefined ? undefined : BigInt(rows[0].number);
  }

  /**
   * Writes the raw blocks `from`..`to` to a file, one RLP item after the other, as `geth import` reads them.
   * @returns false when one of them is not stored raw; the file is then of no use
   */
  async writeRaw(from: bigint, to: bigint, file: string): Promise<boolean> {
    let written = 0n;
    const counted = async function* (blocks: AsyncIterable<Buffer>) {
      for await (const raw of blocks) {
        written += 1n;
        yield raw;
      }
    };
    await pipeline(this.#raw(from, to), counted, createWriteStream(file, { mode: 0o600 }));
    return written === to - from + 1n;
  }

  /** In order, up to the first that is missing. */
  async *#raw(from: bigint, to: bigint): AsyncGenerator<Buffer> {
    for (let next = from; next <= to; ) {
      const { rows } = await this.client.query(
        'SELECT number, raw FROM mirror.block WHERE network = $1 AND number BETWEEN $2 AND $3 ORDER BY number LIMIT $4',
        [this.network, String(next), String(to), PAGE],
      );
      if (rows.length === 0) return;
      for (const row of rows) {
        if (BigInt(row.number) !== next || row.raw === null) return;
        yield row.raw;
        next += 1n;
      }
    }
  }

  async close(): Promise<void> {
    await this.client.end().catch(() => {});
  }
}

const hex = (bytes: Buffer) => `0x${bytes.toString('hex')}`;
