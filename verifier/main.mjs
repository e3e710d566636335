import { existsSync, readFileSync } from 'node:fs';
import { verifyAccessLog } from './access-log.mjs';
import { verifyExport } from './export.mjs';
import { Fault } from './fault.mjs';
import { hex } from './fields.mjs';
import { verifyHistory } from './history.mjs';
import { verifyProof } from './proof.mjs';

const HELP = `emr-verify: checks what a hospital's EMR gateway handed out, with nothing but the file and what you trust.

  emr-verify proof FILE                  one event (GET /v1/audit/events/{id}/proof)
  emr-verify history FILE                a record's history, whole (GET /v1/emrs/{id}/history-proof)
  emr-verify export FILE MANIFEST        an export of events (GET /v1/audit/exports/{id}/content and …/manifest), ndjson or csv
  emr-verify access-log FILE MANIFEST    an export of the access log

  --trust VALUE   may be repeated. Hex with 0x, or a file with one such value at the beginning of each line:
                  a block's hash, the ledger contract's address, the hospital's identity key. Take them from where you would
                  believe them: another hospital's node, the consortium's founding, what you noted last year. Not from this hospital today.
  --proof FILE    with export: a proof of an event in it, so that a block you trust vouches for the head and not the signature alone

The last line is "verified: …" or "NOT verified: …" with the first step that failed. Exit code: 0 verified, 1 not verified, 2 not understood.
`;

const read = (file) => readFileSync(file, 'utf8');
const commands = {
  proof: { files: 1, run: ([file]) => verifyProof(read(file)) },
  history: { files: 1, run: ([file]) => verifyHistory(read(file)) },
  export: {
    files: 2,
    run: ([file, manifest], { proof }) => verifyExport(file, read(manifest), proof.map(read).map(verifyProof)),
  },
  'access-log': { files: 2, run: ([file, manifest]) => verifyAccessLog(file, read(manifest)) },
};

/** @param {string[]} given arguments @param {(line: string) => void} print @returns {Promise<number>} exit code */
export async function main(given, print) {
  const asked = readArguments(given);
  if (!asked) {
    print(HELP.trimEnd());
    return given.includes('--help') || given.includes('-h') ? 0 : 2;
  }
  try {
    const trusted = asked.trust.flatMap(readTrust);
    const { lines, anchors } = await asked.command.run(asked.files, asked);
    for (const line of lines) print(line);
    for (const anchor of anchors) holdAgainst(anchor, trusted, print);
    print(`verified: ${asked.files.join(' ')}`);
    return 0;
  } catch (error) {
    // Whatever goes wrong, nothing was verified. What isn't a fault that a check found shows where this program gave up.
    print(`NOT verified: ${error instanceof Fault || error.code === 'ENOENT' ? error.message : error.stack}`);
    return 1;
  }
}

function readArguments(given) {
  const asked = { files: [], trust: [], proof: [] };
  const [name, ...rest] = given;
  for (let index = 0; index < rest.length; index++) {
    const option = /^--(trust|proof)$/.exec(rest[index])?.[1];
    if (option && rest[index + 1] !== undefined) asked[option].push(rest[++index]);
    else if (rest[index].startsWith('-')) return undefined;
    else asked.files.push(rest[index]);
  }
  asked.command = Object.hasOwn(commands, name ?? '') ? commands[name] : undefined;
  return asked.command && asked.files.length === asked.command.files ? asked : undefined;
}

/** @returns {string[]} hex values */
function readTrust(value) {
  if (/^0x[0-9a-fA-F]+$/.test(value)) return [value.toLowerCase()];
  if (!existsSync(value)) throw new Fault(`--trust ${value} is neither hex with 0x nor a file`);
  return [...readFileSync(value, 'utf8').matchAll(/^0x[0-9a-f]+\b/gim)].map(([found]) => found.toLowerCase());
}

/** What can't follow from the file itself has to be known from elsewhere. */
function holdAgainst({ what, anyOf }, trusted, print) {
  const found = anyOf.map(hex).find((value) => trusted.includes(value));
  if (!found) {
    throw new Fault(
      `all of it is consistent, but it stands or falls with ${what}, ${hex(anyOf[0])}, which is not among what you trust. ` +
        'Compare that value with one from a source of your own and pass it with --trust.',
    );
  }
  print(`trusted: ${what}, ${found}`);
}
