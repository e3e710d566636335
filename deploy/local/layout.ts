import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folder of the project: where package.json is, whether this file runs from its source or compiled. */
export const projectRoot = (() => {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
})();

export type HospitalLetter = 'a' | 'b';
export const letters: HospitalLetter[] = ['a', 'b'];

/** Where everything of one hospital is, and on which ports of 127.0.0.1. */
export interface HospitalLayout {
  letter: HospitalLetter;
  /** on the ledger */
  id: number;
  slug: string;
  title: string;
  database: string;
  dir: string;
  keys: string;
  config: string;
  logs: string;
  run: string;
  nodes: { local: string; global: string };
  ports: { api: number; management: number; peer: number; indexer: number; globalPeers: number };
}

export interface StackLayout {
  dir: string;
  postgres: { dir: string; port: number };
  hospitals: HospitalLayout[];
}

export const DEFAULT_BASE_PORT = 4100;
/** ports from the base up that the stack may use */
export const PORT_RANGE = 31;

export function layoutOf(dir: string, base: number): StackLayout {
  const hospitals = letters.map((letter, index): HospitalLayout => {
    const first = base + 10 * index;
    const slug = `hospital-${letter}`;
    const own = join(dir, slug);
    return {
      letter,
      id: index + 1,
      slug,
      title: `hospital ${letter.toUpperCase()}`,
      database: `hospital_${letter}`,
      dir: own,
      keys: join(own, 'keys'),
      config: join(own, 'config'),
      logs: join(own, 'logs'),
      run: join(own, 'run'),
      nodes: { local: join(own, 'local'), global: join(own, 'global') },
      ports: { api: first, management: first + 1, peer: first + 2, indexer: first + 3, globalPeers: first + 4 },
    };
  });
  return { dir, postgres: { dir: join(dir, 'postgres'), port: base + 30 }, hospitals };
}

/** Every port with the name of what listens there, Postgres apart: an earlier one of ours may still run and is taken over. */
export function portNames(layout: StackLayout): { port: number; name: string }[] {
  return layout.hospitals.flatMap(({ ports, title }) => [
    { port: ports.api, name: `the API of ${title}` },
    { port: ports.management, name: `the management port of ${title}'s gateway` },
    { port: ports.peer, name: `the peer port of ${title}'s gateway` },
    { port: ports.indexer, name: `the management port of ${title}'s indexer` },
    { port: ports.globalPeers, name: `the peer port of ${title}'s global node` },
  ]);
}
