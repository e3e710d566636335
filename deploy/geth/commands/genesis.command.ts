import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type Alloc, cliqueGenesis, type Genesis, genesisHash, paperGenesis, powGenesis } from '../genesis.js';
import { CONSENSUSES } from '../releases.js';
import { oneOf, UsageError, wholeNumber } from './usage.error.js';

const DEFAULT_DIFFICULTY = 131_072;

const OPTIONS = {
  variant: { type: 'string' },
  'chain-id': { type: 'string' },
  consensus: { type: 'string' },
  period: { type: 'string' },
  difficulty: { type: 'string' },
  'gas-limit': { type: 'string' },
  signers: { type: 'string' },
  alloc: { type: 'string' },
  out: { type: 'string' },
} as const;

type Given = Partial<Record<keyof typeof OPTIONS, string>>;

/** Writes a genesis, or prints it. */
export async function genesisCommand(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: OPTIONS });
  const genesis = genesisFrom(values);
  const text = `${JSON.stringify(genesis, null, 2)}\n`;
  const said = [`network id and chain id ${genesis.config.chainId}`];
  if (Object.keys(genesis.alloc).length === 0) said.push(`block 0 will be ${genesisHash(genesis)}`);
  process.stderr.write(`${said.join('; ')}\n`);
  if (values.out === undefined) process.stdout.write(text);
  else await writeNew(values.out, text);
  return 0;
}

/** The genesis that these options ask for. @throws UsageError naming the option that doesn't fit */
export function genesisFrom(values: Given): Genesis {
  const refuse = (names: (keyof Given)[], reason: string) => {
    const name = names.find((each) => values[each] !== undefined);
    if (name) throw new UsageError(`--${name} has no place here: ${reason}`);
  };
  const alloc = allocFrom(values.alloc);
  if (values.variant !== undefined) {
    oneOf('variant', values.variant, ['paper']);
    refuse(
      ['chain-id', 'consensus', 'period', 'difficulty', 'gas-limit', 'signers'],
      'the paper says what its genesis is; leave --variant out for one like it that can be worked with',
    );
    return paperGenesis(alloc);
  }
  if (values['chain-id'] === undefined) throw new UsageError('--chain-id is missing: any number no other network has');
  if (values.consensus === undefined) throw new UsageError('--consensus is missing: clique or pow');
  const shared = {
    chainId: wholeNumber('chain-id', values['chain-id'], 1),
    alloc,
    // Below 5,000 no block can be, and geth counts gas in 63 bits.
    ...(values['gas-limit'] === undefined ? {} : { gasLimit: wholeNumber('gas-limit', values['gas-limit'], 5_000) }),
  };
  if (oneOf('consensus', values.consensus, CONSENSUSES) === 'pow') {
    refuse(['period', 'signers'], 'proof of work has neither signers nor a period');
    const difficulty = wholeNumber('difficulty', values.difficulty ?? String(DEFAULT_DIFFICULTY), DEFAULT_DIFFICULTY);
    return powGenesis({ ...shared, difficulty });
  }
  refuse(['difficulty'], 'a Clique block has difficulty 2 in turn and 1 out of turn (EIP-225)');
  return cliqueGenesis({
    ...shared,
    period: wholeNumber('period', values.period ?? '1', 0, 86_400),
    signers: signersFrom(values.signers),
  });
}

function signersFrom(text: string | undefined): string[] {
  const signers = (text ?? '').split(',').filter(Boolean);
  if (signers.length === 0) throw new UsageError('--signers is missing: the addresses that may seal, commas between');
  for (const signer of signers) if (!isAddress(signer)) throw new UsageError(`--signers: ${notAnAddress(signer)}`);
  return signers;
}

function allocFrom(text: string | undefined): Alloc {
  const alloc: Alloc = {};
  for (const entry of (text ?? '').split(',').filter(Boolean)) {
    const [address = '', balance = ''] = entry.split('=');
    if (!isAddress(address)) throw new UsageError(`--alloc: ${notAnAddress(address)}`);
    if (!/^(0x[0-9a-f]{1,64}|\d{1,77})$/i.test(balance)) {
      throw new UsageError(`--alloc: "${entry}" is no ADDRESS=WEI`);
    }
    alloc[address.toLowerCase()] = { balance };
  }
  return alloc;
}

const isAddress = (text: string) => /^0x[0-9a-f]{40}$/i.test(text);
const notAnAddress = (text: string) => `"${text}" is no address; one is 0x and 40 hexadecimal digits`;

async function writeNew(file: string, text: string): Promise<void> {
  await writeFile(file, text, { flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST')
      throw new UsageError(`${file} is there already; a genesis in use is never written over`);
    throw error;
  });
}
