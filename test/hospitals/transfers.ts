import { type Answer, expectStatus, type Hospital } from './hospitals.js';

/** Somebody at a hospital, as tests speak of them. */
export interface Person {
  at: Hospital;
  name: string;
  roles: string[];
}

export function ask({ at, name, roles }: Person, path: string, body?: unknown, headers?: object): Promise<Answer> {
  return at.call(name, roles, 'POST', path, body, headers);
}

export async function see({ at, name, roles }: Person, path: string): Promise<Answer['body']> {
  return (await at.call(name, roles, 'GET', path)).body;
}

/** Proposes a copy to the other hospital. @returns the transfer's path */
export async function propose(who: Person, record: string, over: object = {}): Promise<string> {
  const body = { toHospital: 3 - who.at.id, mode: 'copy', ...over };
  return expectStatus(await ask(who, `/v1/emrs/${record}/transfers`, body), 201).headers.get('location')!;
}

/** Waits until the transfer, as this person sees it, is as wanted. */
export async function until(
  who: Person,
  path: string,
  wanted: (transfer: Answer['body']) => boolean,
): Promise<Answer['body']> {
  let last: Answer | undefined;
  for (let count = 0; count < 400; count++) {
    last = await who.at.call(who.name, who.roles, 'GET', path);
    if (last.status === 200 && wanted(last.body)) return last.body;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`the transfer at hospital ${who.at.id} stays ${last?.text}`);
}

export const done = (transfer: Answer['body']) => transfer.step === 'done';
