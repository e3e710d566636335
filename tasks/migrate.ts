import { parseArgs } from 'node:util';
import { z } from 'zod';
import { migrate } from '../libs/database/src/migrate.js';
import { parseEnv } from '../libs/platform/src/env.js';

/** Brings the database of `--url`, else of DATABASE_URL, to the latest schema. */
export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { url: { type: 'string' } } });
  const url =
    values.url ??
    parseEnv(z.object({ DATABASE_URL: z.url('URL of the owner of the database') }), process.env).DATABASE_URL;
  const done = await migrate(url, (name) => process.stdout.write(`${name}\n`));
  process.stdout.write(
    done.length > 0 ? `${done.length} migrations carried out\n` : 'Nothing to do: the schema is the latest\n',
  );
  return 0;
}
