// Runs the Solidity tests with the forge of node_modules. Ends with forge's exit code; arguments are passed on.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const forge = findForge();
if (!forge) {
  console.error(`There is no forge for ${process.platform}-${process.arch} in node_modules (npm: @foundry-rs/forge).`);
  process.exitCode = 1;
} else {
  const { status, signal, error } = spawnSync(forge, ['test', '--root', root, ...process.argv.slice(2)], {
    cwd: root,
    stdio: 'inherit',
    timeout: 480_000,
  });
  if (error) console.error(error.message);
  if (signal) console.error(`forge was ended by ${signal}`);
  process.exitCode = status ?? 1;
}

/** The program itself: its package's launcher would not pass signals on. */
function findForge() {
  const { platform } = process;
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  try {
    const manifest = createRequire(import.meta.url).resolve(
      `@foundry-rs/forge-${platform}-${architecture}/package.json`,
    );
    const file = join(dirname(manifest), 'bin', platform === 'win32' ? 'forge.exe' : 'forge');
    return existsSync(file) ? file : undefined;
  } catch {
    return undefined;
  }
}
