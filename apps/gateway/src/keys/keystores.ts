import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readKeystore } from '../../../../libs/chain-client/src/keys/keystore.js';
import { addressOf } from '../../../../libs/chain-client/src/keys/secp256k1.js';

/** A key of the hospital's own, opened. */
export interface OpenedKey {
  address: Buffer;
  key: Buffer;
}

/** The hospital's Ethereum keys: who carries acts to each network, and who registers actors. */
export class Keystores {
  constructor(
    readonly registrar: OpenedKey,
    readonly relayers: { local: OpenedKey; global: OpenedKey },
  ) {}

  /** Reads relayer-local.json, relayer-global.json and registrar.json. @throws Error naming the file that does not open. */
  static async open(directory: string, passphrase: string): Promise<Keystores> {
    // One after the other: each takes 128 MB while it is stretched.
    const registrar = await read(join(directory, 'registrar.json'), passphrase);
    const local = await read(join(directory, 'relayer-local.json'), passphrase);
    const global = await read(join(directory, 'relayer-global.json'), passphrase);
    return new Keystores(registrar, { local, global });
  }
}

/** The passphrase in `file`, without the line end an editor leaves. @throws Error when it is empty. */
export async function readPassphrase(file: string): Promise<string> {
  const passphrase = (await readFile(file, 'utf8')).replace(/\r?\n$/, '');
  if (passphrase === '') throw new Error(`${file} holds no passphrase`);
  return passphrase;
}

async function read(file: string, passphrase: string): Promise<OpenedKey> {
  const key = await readKeystore(file, passphrase);
  return { key, address: addressOf(key) };
}
