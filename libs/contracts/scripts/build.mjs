// Compiles solidity/ into src/generated/emr-ledger.ts. Needs solc (npm) alone; does nothing when no source has changed.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const sourceDir = join(root, 'solidity');
const target = join(root, 'src/generated/emr-ledger.ts');

/** Deployed code may have no more bytes than this (EIP-170). */
const CODE_LIMIT = 24_576;

/** The compiler's settings; foundry.toml has the same, and so tests run on the code that is deployed. */
export const settings = {
  viaIR: true,
  optimizer: { enabled: true, runs: 200 },
  evmVersion: 'paris',
  metadata: { bytecodeHash: 'none' },
};

/**
 * @param {{ log?: (line: string) => void, force?: boolean }} [options]
 * @returns {Promise<{ built: boolean }>}
 * @throws Error with the compiler's messages
 */
export async function build({ log = console.log, force = false } = {}) {
  const sources = readSources();
  const hash = hashOf(sources);
  if (!force && currentHash() === hash) return { built: false };
  log('Compiling the ledger contract …');
  const solc = createRequire(import.meta.url)('solc');
  const started = Date.now();
  const output = JSON.parse(
    solc.compile(
      JSON.stringify({
        language: 'Solidity',
        sources: Object.fromEntries(Object.entries(sources).map(([name, content]) => [name, { content }])),
        settings: {
          ...settings,
          outputSelection: { '*': { EmrLedger: ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object'] } },
        },
      }),
    ),
  );
  const problems = (output.errors ?? []).filter((it) => it.severity !== 'info');
  if (problems.length > 0) throw new Error(problems.map((it) => it.formattedMessage).join('\n'));
  const { abi, evm } = output.contracts['solidity/EmrLedger.sol'].EmrLedger;
  const size = evm.deployedBytecode.object.length / 2;
  if (size > CODE_LIMIT)
    throw new Error(`EmrLedger has ${size} bytes of code, more than the ${CODE_LIMIT} a chain takes`);
  write(hash, abi, evm.bytecode.object, size);
  log(`EmrLedger: ${size} of ${CODE_LIMIT} bytes, compiled in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  return { built: true };
}

function write(hash, abi, bytecode, size) {
  mkdirSync(dirname(target), { recursive: true });
  const text = `// Made by libs/contracts/scripts/build.mjs. Do not edit.
// sources ${hash}
/** JSON ABI of EmrLedger. */
export const abi = ${JSON.stringify(abi, null, 2)} as const;
/** Creation code, without the constructor's arguments. */
export const bytecode = '0x${bytecode}';
/** Bytes of deployed code; a chain takes ${CODE_LIMIT}. */
export const deployedSize = ${size};
`;
  // Renamed into place: whoever reads meanwhile sees the old file or the new one.
  const temporary = `${target}.${process.pid}.tmp`;
  writeFileSync(temporary, text);
  renameSync(temporary, target);
}

function readSources() {
  return Object.fromEntries(
    readdirSync(sourceDir, { recursive: true })
      .filter((name) => name.endsWith('.sol'))
      .sort()
      .map((name) => {
        const file = join(sourceDir, name);
        return [relative(root, file).split('\\').join('/'), readFileSync(file, 'utf8')];
      }),
  );
}

function hashOf(sources) {
  const { version } = createRequire(import.meta.url)('solc/package.json');
  return createHash('sha256')
    .update(JSON.stringify([sources, settings, version]))
    .digest('hex');
}

function currentHash() {
  try {
    return /^\/\/ sources ([0-9a-f]{64})$/m.exec(readFileSync(target, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    const { built } = await build({ force: process.argv.includes('--force') });
    if (!built) console.log('The ledger contract is up to date.');
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
