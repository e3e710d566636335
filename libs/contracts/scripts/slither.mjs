// Static analysis of the contract with Slither (PyPI: slither-analyzer), where the machine has it. Fails on any finding
// that slither.config.json or a remark beside the code doesn't answer; docs/decisions has the reasons.
import { spawnSync } from 'node:child_process';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const tools = join(root, '../../node_modules/.bin');
const { PATH = '' } = process.env;
const env = {
  ...process.env,
  // Slither calls forge, and clears what it finds: its output is kept apart from that of the tests.
  PATH: `${tools}${delimiter}${PATH}`,
  FOUNDRY_OUT: 'out/slither',
  FOUNDRY_CACHE_PATH: 'out/slither-cache',
};

if (spawnSync('slither', ['--version'], { env }).status !== 0) {
  console.log('skipped: there is no slither on the PATH (it is on PyPI: slither-analyzer)');
} else {
  const options = ['.', '--config-file', 'slither.config.json', '--fail-pedantic', ...process.argv.slice(2)];
  const { status, error } = spawnSync('slither', options, { cwd: root, env, stdio: 'inherit', timeout: 280_000 });
  if (error) console.error(error.message);
  process.exitCode = status ?? 1;
}
