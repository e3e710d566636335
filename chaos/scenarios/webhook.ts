import { randomUUID } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type Run, type Scenario, until } from '../run.js';

interface Told {
  events: { id: string; network: string; sequence: string }[];
}

type Mood = 'well' | 'refuses' | 'breaks off' | 'is silent' | 'is late' | 'is down';
const MOODS: Mood[] = ['refuses', 'breaks off', 'is silent', 'is late', 'is down'];
const CATCH_UP_MS = 90_000;

/** A receiver that loses its temper. It keeps what it took, in the order in which it first did. */
class Receiver {
  mood: Mood = 'well';
  /** Event ids by network, each once, as first taken. */
  readonly taken = new Map<string, string[]>();
  /** Contents by id, to hold what is told again against what was told before. */
  readonly #contents = new Map<string, string>();
  readonly contradictions: string[] = [];
  again = 0;
  readonly #server = createServer(async (request, response) => {
    const body = await buffer(request).catch(() => undefined);
    if (body === undefined) return; // broken off in the middle: its sender was killed
    await this.#answer(JSON.parse(body.toString()) as Told, response);
  });
  #port = 0;

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/events`;
  }

  async #answer(told: Told, response: ServerResponse): Promise<void> {
    if (this.mood === 'refuses') return void response.writeHead(503).end();
    if (this.mood === 'is silent') return;
    if (this.mood === 'is late') await new Promise((resolve) => setTimeout(resolve, 700));
    for (const event of told.events) this.#take(event);
    if (this.mood === 'breaks off') return void response.destroy();
    response.end();
  }

  #take(event: Told['events'][number]): void {
    const content = JSON.stringify(event);
    const before = this.#contents.get(event.id);
    if (before === undefined) {
      this.#contents.set(event.id, content);
      this.taken.set(event.network, [...(this.taken.get(event.network) ?? []), event.id]);
    } else {
      this.again += 1;
      if (before !== content) this.contradictions.push(event.id);
    }
  }
}

const receivers = new WeakMap<Run, Receiver>();

export const webhook: Scenario = {
  name: 'webhook',
  about: 'a receiver of events that refuses, breaks off, is silent, late or down; gateways killed beside it',
  rows: [22],
  seconds: 20,
  async inject(run: Run) {
    const receiver = new Receiver();
    receivers.set(run, receiver);
    await receiver.start();
    const id = randomUUID();
    await run.sql('INSERT INTO gateway.webhook (id, url, created_by) VALUES ($1, $2, $3)', [
      id,
      receiver.url,
      Buffer.alloc(32),
    ]);
    await run.sql('INSERT INTO gateway.webhook_cursor SELECT $1, network, 0 FROM mirror.cursor', [id]);
    for (let round = 0; round < 12; round += 1) {
      await run.rest(200, 900);
      const mood = run.dice.of(MOODS);
      run.fault(`the receiver ${mood}`);
      if (mood === 'is down') await receiver.stop();
      receiver.mood = mood;
      await run.rest(300, 1_500);
      if (run.dice.below(4) === 0) await run.kill(run.dice.of(['gateway-1', 'gateway-2'] as const), [16, 22]);
      if (mood === 'is down') await receiver.start();
      receiver.mood = 'well';
    }
  },
  async afterwards(run: Run) {
    const receiver = receivers.get(run);
    if (receiver === undefined) return;
    const owed = () =>
      run.sql<{ id: string; network: string }>(
        `SELECT 'ev_' || e.network || '_' || e.sequence AS id, e.network FROM mirror.emr_event e
         JOIN mirror.cursor u ON u.network = e.network AND e.block_number <= u.final_number ORDER BY e.network, e.sequence`,
      );
    const told = () => [...receiver.taken.values()].reduce((sum, ids) => sum + ids.length, 0);
    await until(async () => (await owed()).length <= told(), CATCH_UP_MS);
    const events = await owed();
    for (const network of new Set(events.map((event) => event.network))) {
      const due = events.filter((event) => event.network === network).map(({ id }) => id);
      const taken = receiver.taken.get(network) ?? [];
      const missing = due.filter((id) => !taken.includes(id));
      for (const id of missing) run.findings.push({ kind: 'lost', text: `the receiver was never told of ${id}` });
      if (missing.length === 0 && due.some((id, index) => taken[index] !== id))
        run.findings.push({ kind: 'other', text: `the receiver was told of ${network} out of order` });
    }
    for (const id of receiver.contradictions)
      run.findings.push({ kind: 'taken-back', text: `the receiver was told two things of ${id}` });
    run.log(`webhook: ${told()} events told, ${receiver.again} of them again`);
    await receiver.stop();
  },
};
