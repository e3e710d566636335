import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readKeystore } from '../../../../libs/chain-client/src/keys/keystore.js';
import { remoteSigner } from '../../../../libs/chain-client/src/keys/remote.signer.js';
import { addressOf } from '../../../../libs/chain-client/src/keys/secp256k1.js';
import { localSigner, type Signer } from '../../../../libs/chain-client/src/keys/signer.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import type { NetworkConfig, NetworksConfig, RelayerConfig } from '../../../../libs/platform/src/networks.js';

/** A key of the hospital's own, opened. */
interface OpenedKey {
  address: Buffer;
  key: Buffer;
}

/** The hospital's Ethereum keys: who carries acts to each network, and who registers actors. */
export class Keystores {
  constructor(
    readonly registrar: OpenedKey,
    /** By network name, in the order of configuration. */
    readonly relayers: Readonly<Record<string, readonly Signer[]>>,
  ) {}

  /**
   * Opens registrar.json and the keystores of the relayers that have one here. A remote signer is not asked before there is something
   * to sign. @throws Error naming the file that is missing or does not open
   */
  static async open(directory: string, passphrase: string, networks: NetworksConfig): Promise<Keystores> {
    // One after the other: each takes 128 MB while it is stretched.
    const registrar = await read(join(directory, 'registrar.json'), passphrase);
    const opened = new Map<string, OpenedKey>();
    const local = async (file: string): Promise<Signer> => {
      const key = opened.get(file) ?? (await read(file, passphrase));
      opened.set(file, key);
      return localSigner(key.key);
    };
    const relayers: Record<string, Signer[]> = {};
    for (const network of networks.networks) {
      const signers: Signer[] = [];
      for (const relayer of relayersOf(network, networks)) {
        if (relayer === 'tier') signers.push(await local(join(directory, tierKeystore(network, networks))));
        else if (relayer.kind === 'keystore') signers.push(await local(await keystoreOf(directory, network, relayer)));
        else signers.push(remoteSigner(relayer));
      }
      relayers[network.name] = signers;
    }
    return new Keystores(registrar, relayers);
  }
}

/** Those configured; else the tier's own. A network that is neither tier has none. */
function relayersOf(network: NetworkConfig, { local, global }: NetworksConfig): readonly (RelayerConfig | 'tier')[] {
  if (network.relayers.length > 0) return network.relayers;
  return network.name === local || network.name === global ? ['tier'] : [];
}

/** In the single-chain form both tiers are one network, served by the local relayer. */
function tierKeystore(network: NetworkConfig, { local }: NetworksConfig): string {
  return network.name === local ? 'relayer-local.json' : 'relayer-global.json';
}

/** The file of an account: a keystore says whose it is. */
async function keystoreOf(directory: string, network: NetworkConfig, { address }: RelayerConfig): Promise<string> {
  const wanted = address.toString('hex');
  for (const name of (await readdir(directory)).filter((file) => file.endsWith('.json')).sort()) {
    if ((await addressIn(join(directory, name))) === wanted) return join(directory, name);
  }
  throw new Error(
    `NETWORKS_FILE names ${toHex(address)} as a relayer of ${network.name}, and no keystore in ${directory} is of that address: put it there, or name the signer that holds the key.`,
  );
}

async function addressIn(file: string): Promise<string | undefined> {
  try {
    const { address } = JSON.parse(await readFile(file, 'utf8')) as { address?: unknown };
    return typeof address === 'string' ? address.replace(/^0x/, '').toLowerCase() : undefined;
  } catch {
    // Other files may lie here too.
    return undefined;
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
