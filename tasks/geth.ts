import { findGeth } from '../deploy/geth/binary.js';
import { genesisCommand } from '../deploy/geth/commands/genesis.command.js';
import { downCommand, statusCommand, upCommand } from '../deploy/geth/commands/network.command.js';
import { peersCommand, signersCommand } from '../deploy/geth/commands/peers.command.js';
import { oneOf, UsageError } from '../deploy/geth/commands/usage.error.js';
import { dagDirectory, ensureDags } from '../deploy/geth/dag.js';
import { CONSENSUSES } from '../deploy/geth/releases.js';
import { runChild } from './child.js';

const say = (message: string) => process.stderr.write(`${message}\n`);
const logger = { info: say, warn: say };

const COMMANDS: Record<string, (args: string[]) => Promise<number>> = {
  path: printPath,
  genesis: genesisCommand,
  up: (args) => upCommand(args, logger),
  status: statusCommand,
  peers: peersCommand,
  signers: signersCommand,
  'peering-day': peeringDay,
  down: (args) => downCommand(args, logger),
};

/** `npm run geth`: the binary alone, or a network of nodes. */
export async function run([name = 'path', ...args]: string[]): Promise<number> {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  try {
    if (!command) throw new UsageError(`there is no command "${name}"; there are ${Object.keys(COMMANDS).join(', ')}`);
    return await command(args);
  } catch (error) {
    const code = (error as { code?: string }).code ?? '';
    if (!(error instanceof UsageError) && !code.startsWith('ERR_PARSE_ARGS')) {
      say((error as Error).message);
      return 1;
    }
    say(`${(error as Error).message}\nnpm run geth -- --help says what there is`);
    return 2;
  }
}

/** Prints the path of a geth for that consensus, built first if need be. */
async function printPath([consensus = 'clique', ...rest]: string[]): Promise<number> {
  if (rest.length > 0) throw new UsageError(`"${rest[0]}" has no place here`);
  const geth = await findGeth({ env: process.env, logger }, oneOf('consensus', consensus, CONSENSUSES));
  if (!geth) return 1;
  say(`geth ${geth.version}`);
  process.stdout.write(`${geth.path}\n`);
  return 0;
}

/** Two hospitals that mined one genesis apart are peered: real proof of work, so apart from `npm test`. */
async function peeringDay(args: string[]): Promise<number> {
  if (args.length > 0) throw new UsageError(`"${args[0]}" has no place here`);
  const geth = await findGeth({ env: process.env, logger }, 'pow');
  if (!geth) return 1;
  await ensureDags(geth, dagDirectory(process.env), logger);
  const { code } = await runChild(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', '--project', 'pow', 'test/networks/peering-day'],
    { env: { ...process.env, GETH_POW_BIN: geth.path, NODE_ENV: 'test' }, timeoutMs: 60 * 60_000 },
  );
  return code ?? 1;
}
