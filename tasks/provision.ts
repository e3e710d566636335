import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { joinFounders, provisionHospital } from '../deploy/docker/provision.js';

const usage = `npm run provision -- hospital --dir DIR --id N --slug NAME --peer-url URL [--issuer URL --jwks-uri URL]
npm run provision -- consortium --dir DIR --slug NAME [--chain-id N] PUBLIC.json ...`;

/** Makes the files that docker-compose.yml wants: `hospital` one's secrets and keys, `consortium` what follows from all founders' public.json. */
export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      dir: { type: 'string' },
      id: { type: 'string' },
      slug: { type: 'string' },
      'peer-url': { type: 'string' },
      issuer: { type: 'string' },
      'jwks-uri': { type: 'string' },
      'chain-id': { type: 'string', default: '410000' },
    },
  });
  const [what, ...files] = positionals;
  const { slug, issuer, 'jwks-uri': jwksUri } = values;
  const dir = values.dir && resolve(values.dir);
  const say = (text: string) => process.stdout.write(`${text}\n`);
  if (what === 'hospital' && dir && slug && values.id && values['peer-url'] && files.length === 0) {
    if ((issuer === undefined) !== (jwksUri === undefined)) throw new Error('--issuer and --jwks-uri go together');
    const facts = await provisionHospital(dir, {
      ...{ id: Number(values.id), slug, peerUrl: values['peer-url'] },
      issuer: issuer && jwksUri ? { issuer, jwksUri } : undefined,
    });
    say(
      `Made the keys of ${slug} (number ${facts.id}): back up ${dir}/config/${slug}/keys and ${dir}/secrets/${slug}.`,
    );
    say(`Give ${dir}/config/${slug}/public.json to the other founders.`);
    if (!issuer) say(`Write ${dir}/config/${slug}/issuers.json: who may vouch for this hospital's users.`);
    if (process.getuid?.() !== 0)
      say('Give the files to the containers: postgres-*-password to uid 999, all the others to uid 1000.');
    return 0;
  }
  if (what === 'consortium' && dir && slug && files.length > 0) {
    const made = await joinFounders(dir, slug, files, Number(values['chain-id']));
    say(`Wrote the networks of ${slug}. Every founder must come to these same two:`);
    say(`  genesis of the global network  ${made.globalGenesis}`);
    say(`  ledger on it                   ${made.globalLedger}`);
    return 0;
  }
  process.stderr.write(`${usage}\n`);
  return 2;
}
