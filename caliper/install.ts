import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { projectRoot } from '../deploy/local/layout.js';
import { runChild } from '../tasks/child.js';

/** Folder of Caliper's own package.json. */
export const caliperFolder = join(projectRoot, 'caliper');
export const caliperCli = join(caliperFolder, 'node_modules', '@hyperledger', 'caliper-cli');

export interface Installed {
  caliper: string;
  web3: string;
}

/**
 * Installs Caliper as its lockfile has it, once, and makes sure that it is bound: that the web3 beside it is the one its `bind` would
 * fetch for `ethereum:latest`. (`caliper bind` itself is an npm install without a lockfile.)
 * @throws Error when npm fails, or the two are no longer the same
 */
export async function installCaliper(npm: string | undefined, log: (message: string) => void): Promise<Installed> {
  const lockfile = await readFile(join(caliperFolder, 'package-lock.json'), 'utf8');
  const stampFile = join(caliperFolder, 'node_modules', '.emr-install');
  const stamp = createHash('sha256').update(lockfile).update(process.version).digest('hex');
  if ((await readFile(stampFile, 'utf8').catch(() => '')) !== stamp) {
    log('installing Hyperledger Caliper: once, it takes a minute');
    const args = ['ci', '--prefix', caliperFolder, '--ignore-scripts', '--engine-strict=false', '--loglevel=error'];
    const script = npm !== undefined && basename(npm).startsWith('npm') && npm.endsWith('js');
    const command = script ? process.execPath : 'npm';
    const { code } = await runChild(command, script ? [npm, ...args] : args, { timeoutMs: 600_000 });
    if (code !== 0) throw new Error(`npm ci in ${caliperFolder} ended with ${code}; its own words are above`);
    await writeFile(stampFile, stamp);
  }
  const versions = { caliper: await versionOf('@hyperledger/caliper-cli'), web3: await versionOf('web3') };
  const wanted = boundVersion(await readFile(join(caliperCli, 'lib', 'lib', 'config.yaml'), 'utf8'));
  if (wanted !== versions.web3) {
    throw new Error(
      `Caliper ${versions.caliper} binds web3 ${wanted}, and ${versions.web3} is installed: pin the former`,
    );
  }
  return versions;
}

/** The web3 that Caliper's `bind` installs for `ethereum:latest`, from its config.yaml. @throws Error when it isn't found there */
export function boundVersion(config: string): string {
  const ethereum = /^ {4}ethereum:\n((?: {8,}.*\n|\n)*)/m.exec(config)?.[1] ?? '';
  const version = /&ethereum-latest\n\s*packages: \['web3@([\d.]+)'\]/.exec(ethereum)?.[1];
  if (version === undefined)
    throw new Error('caliper-cli/lib/lib/config.yaml says no more which web3 ethereum:latest is');
  return version;
}

async function versionOf(name: string): Promise<string> {
  const file = join(caliperFolder, 'node_modules', name, 'package.json');
  if (!existsSync(file)) throw new Error(`${file} is missing: remove caliper/node_modules and run this again`);
  return JSON.parse(await readFile(file, 'utf8')).version;
}
