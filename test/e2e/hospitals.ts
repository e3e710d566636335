import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { User } from '../../chaos/client/user.js';
import { freeBase } from '../../deploy/geth/ports.js';
import { Latencies } from '../../deploy/local/demo/client.js';
import { introduce, peopleOf } from '../../deploy/local/demo/people.js';
import { layoutOf, PORT_RANGE, projectRoot } from '../../deploy/local/layout.js';
import { removePostgres } from '../../deploy/local/postgres.js';
import { type RunningHospital, type RunningStack, startStack, stopLeftovers } from '../../deploy/local/stack.js';

/** One hospital of the stack, with its demo users registered. */
export interface E2eHospital extends RunningHospital {
  /** The same user each time, logged in on demand. */
  user(name: string): User;
}

/** The stack that `npm start` runs, in a folder and on ports of its own. */
export interface E2eStack {
  stack: RunningStack;
  a: E2eHospital;
  b: E2eHospital;
  /** What the stack's supervisors said. */
  said: string[];
  /** The same state folder again, after a stop. */
  restart(): Promise<void>;
  /** Stops everything; the state folder stays. */
  stop(): Promise<void>;
  /** Stops everything and removes the state folder; EMR_E2E_KEEP=1 leaves it for whoever looks into a failure. */
  remove(): Promise<void>;
}

/**
 * Starts both hospitals from nothing, makes their users and registers those who act. The programs run as built (`dist`), as
 * with `npm start`; the services log at `info`.
 */
export async function startHospitals(options: { gatewayEnv?: Record<string, string> } = {}): Promise<E2eStack> {
  const entry = join(projectRoot, 'dist', 'apps', 'gateway', 'src', 'main.js');
  if (!existsSync(entry)) throw new Error(`${entry} is missing: the e2e tests run what is built (npm test builds it)`);
  const dir = await mkdtemp(join(tmpdir(), 'emr-e2e-')); // short: socket paths have 107 bytes
  const base = await freeBase(PORT_RANGE);
  const layout = layoutOf(dir, base);
  const said: string[] = [];
  const logger = { info: (text: string) => void said.push(text), warn: (text: string) => void said.push(`! ${text}`) };
  const start = () =>
    startStack({
      ...{ layout, base, logger, env: process.env },
      // Tests ask more in a minute than one client may; the limit has tests of its own.
      // An anchor is an event of its own, and comes when it comes: only for tests that are about it.
      gatewayEnv: { RATE_LIMIT_PER_MINUTE: '1000000', ANCHOR_SECONDS: '86400', ...options.gatewayEnv },
    });
  const e2e: E2eStack = {
    stack: undefined as unknown as RunningStack,
    a: undefined as unknown as E2eHospital,
    b: undefined as unknown as E2eHospital,
    said,
    async restart() {
      e2e.stack = await start();
      const [a, b] = e2e.stack.hospitals as [RunningHospital, RunningHospital];
      e2e.a = withUsers(a);
      e2e.b = withUsers(b);
    },
    stop: () => e2e.stack.stop(),
    async remove() {
      await e2e.stack?.stop();
      if (process.env.EMR_E2E_KEEP) return console.info(`kept: ${dir}`);
      await stopLeftovers(layout, logger);
      await removePostgres(layout.postgres.dir);
      await rm(dir, { recursive: true, force: true });
    },
  };
  try {
    await e2e.restart();
    const signal = new AbortController().signal;
    await Promise.all([e2e.a, e2e.b].map((one) => introduce(one, peopleOf(one, new Latencies(), signal))));
  } catch (error) {
    await e2e.remove().catch(() => undefined);
    throw error;
  }
  return e2e;
}

function withUsers(hospital: RunningHospital): E2eHospital {
  const users = new Map<string, User>();
  return Object.assign(hospital, {
    user(name: string): User {
      const known = users.get(name);
      if (known) return known;
      const password = hospital.passwords[name];
      if (password === undefined) throw new Error(`${hospital.layout.title} has no user ${name}`);
      const user = new User(hospital.api, name, password);
      users.set(name, user);
      return user;
    },
  });
}
