import { demoUsers } from '../provision.js';
import type { RunningHospital } from '../stack.js';
import { type Latencies, Session } from './client.js';

/** Roles that act on records, and so need an actor on the ledgers. */
const ACTING = new Set(['clinician', 'records-officer', 'privacy-officer']);

/** The demo users of a hospital, logged in on demand. */
export type People = (username: string) => Session;

/** What is needed of a hospital to act there. */
export type Reachable = Pick<RunningHospital, 'layout' | 'api' | 'passwords'>;

export function peopleOf(hospital: Reachable, latencies: Latencies, signal: AbortSignal): People {
  const sessions = new Map<string, Session>();
  return (username) => {
    let session = sessions.get(username);
    if (!session) {
      session = new Session(hospital.api, username, hospital.passwords[username] ?? '', latencies, signal);
      sessions.set(username, session);
    }
    return session;
  };
}

/** The administrator makes the users, and has those who act on records registered as actors. Those who exist already stay. */
export async function introduce(hospital: Reachable, people: People): Promise<void> {
  const [administrator, ...others] = demoUsers[hospital.layout.letter];
  const admin = people(administrator?.username ?? '');
  for (const { username, roles } of others) {
    await admin.expect([201, 409], {
      ...{ method: 'POST', path: '/v1/admin/users' },
      body: { username, password: hospital.passwords[username], roles },
    });
  }
  const acting = others.filter(({ roles }) => roles.some((role) => ACTING.has(role)));
  await Promise.all(
    acting.map(({ username, roles }) =>
      admin.expect([201], {
        ...{ method: 'POST', path: '/v1/admin/actors', key: `demo-actor-${username}`, prefer: 'wait=30' },
        ...{ body: { subject: username, roles }, label: 'register an actor, both networks' },
      }),
    ),
  );
}
