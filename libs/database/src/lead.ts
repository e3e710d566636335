import pg from 'pg';

const CONNECT_TIMEOUT_MS = 5_000;

/**
 * Which of the processes that share a database does what one of them is enough for: the one that holds a lock, on a connection of its own, and with
 * it as long as that lives. What it does must stand a second one beside it all the same: a process that was paused wakes up thinking it leads.
 */
export class Lead {
  #client: pg.Client | undefined;
  #held = false;

  /** @param name tells leads apart, e.g. "anchors" */
  constructor(
    private readonly databaseUrl: string,
    private readonly name: string,
  ) {}

  /** Whether this process leads; takes the lead where nobody has it. One call at a time. @throws the driver's error without a database */
  async held(): Promise<boolean> {
    if (this.#held) return true;
    const client = this.#client ?? (await this.#connect());
    this.#client = client;
    try {
      const { rows } = await client.query<{ won: boolean }>(
        `SELECT pg_try_advisory_lock(hashtext('emr-gateway'), hashtext($1)) AS won`,
        [this.name],
      );
      // The connection may have ended while the answer was on its way.
      this.#held = this.#client === client && rows[0]?.won === true;
    } catch (error) {
      this.#client = undefined;
      client.end().catch(() => undefined);
      throw error;
    }
    return this.#held;
  }

  async release(): Promise<void> {
    await this.#client?.end().catch(() => undefined);
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client({
      connectionString: this.databaseUrl,
      application_name: `emr-gateway-${this.name}`,
      keepAlive: true,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    });
    const lost = () => {
      if (this.#client === client) this.#client = undefined;
      this.#held = false;
    };
    client.on('error', lost);
    client.on('end', lost);
    await client.connect();
    return client;
  }
}
