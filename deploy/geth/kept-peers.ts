import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const fileOf = (dir: string) => join(dir, 'peers.json');

/** Enodes that a node of its own folder stays connected to, over restarts of itself and of its supervisor. */
export async function readKeptPeers(dir: string): Promise<string[]> {
  const text = await readFile(fileOf(dir), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '[]';
    throw error;
  });
  return JSON.parse(text);
}

export async function writeKeptPeers(dir: string, enodes: string[]): Promise<void> {
  const file = fileOf(dir);
  await writeFile(`${file}.tmp`, `${JSON.stringify([...new Set(enodes)], null, 2)}\n`);
  await rename(`${file}.tmp`, file);
}
