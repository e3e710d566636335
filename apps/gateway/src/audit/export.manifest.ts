import { toHex } from '../../../../libs/platform/src/bytes.js';
import type { Vault } from '../../../../libs/vault/src/vault.js';
import type { AccessLogManifest, Manifest } from './export.schema.js';

type Unsigned = Omit<Manifest, 'signature'> | Omit<AccessLogManifest, 'signature'>;

/** @returns the manifest as it is kept and served: its signature is over the same text without the last member */
export function signManifest(unsigned: Unsigned, vault: Pick<Vault, 'sign' | 'identityPublicKey'>): string {
  // The first line keeps the signature from ever standing for anything else that this key signs.
  const message = Buffer.from(`${unsigned.format}\n${JSON.stringify(unsigned)}`);
  const signature = { key: toHex(vault.identityPublicKey), value: toHex(vault.sign(message)) };
  return JSON.stringify({ ...unsigned, signature });
}
