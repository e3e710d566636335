import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { writeKeystore } from '../libs/chain-client/src/keys/keystore.js';
import { addressOf, newKey } from '../libs/chain-client/src/keys/secp256k1.js';
import type { HospitalEntry } from '../libs/contracts/src/deployment.js';
import { fromHex, toHex } from '../libs/platform/src/bytes.js';
import { createVault } from '../libs/vault/src/vault.js';

/** What others may know of the keys in a hospital's keystore folder; values 0x-hex. */
export interface PublicKeys {
  relayers: { local: string; global: string };
  registrar: string;
  identityKey: string;
  transferKey: string;
  transferKeyId: number;
}

/**
 * Fills a hospital's keystore folder: vault, relayers, registrar, all new and under one passphrase.
 * @throws Error EEXIST when there is a vault already
 */
export async function makeHospitalKeys(folder: string, passphrase: string): Promise<PublicKeys> {
  const vault = await createVault(folder, passphrase);
  const [local, global, registrar] = [newKey(), newKey(), newKey()];
  await writeKeystore(join(folder, 'relayer-local.json'), local, passphrase);
  await writeKeystore(join(folder, 'relayer-global.json'), global, passphrase);
  await writeKeystore(join(folder, 'registrar.json'), registrar, passphrase);
  return {
    relayers: { local: toHex(addressOf(local)), global: toHex(addressOf(global)) },
    registrar: toHex(addressOf(registrar)),
    identityKey: toHex(vault.identityPublicKey),
    transferKey: toHex(vault.transferKey.publicKey),
    transferKeyId: vault.transferKey.id,
  };
}

/** What the registry vouches for: other hospitals hold the address they were given against it. */
export const endpointHash = (peerUrl: string) => createHash('sha256').update(peerUrl).digest();

/** The hospital as a founder of a network's ledger. `peerUrl`: where its gateway listens for the others. */
export function foundingEntry(
  hospital: { id: number; peerUrl: string; keys: PublicKeys },
  tier: 'local' | 'global',
): HospitalEntry {
  const { id, peerUrl, keys } = hospital;
  return {
    id,
    registrar: fromHex(keys.registrar, 20),
    relayers: [fromHex(keys.relayers[tier], 20)],
    identityKey: fromHex(keys.identityKey, 32),
    transferKey: fromHex(keys.transferKey, 32),
    transferKeyId: keys.transferKeyId,
    endpointHash: endpointHash(peerUrl),
  };
}
