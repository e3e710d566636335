import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { DEFAULT_BASE_PORT, type HospitalLetter, layoutOf } from './layout.js';
import { runningPostmaster } from './postgres-runtime.js';

/** What a tool needs to work on a hospital that `npm start` runs. */
export interface HospitalDatabaseAccess {
  title: string;
  /** Of the database's owner. */
  ownerUrl: string;
  networksFile: string;
}

/**
 * Finds the database and the networks file of each hospital asked for in a state folder.
 * @throws Error when nothing was started there, or Postgres doesn't run now
 */
export function hospitalDatabases(dir: string, letters: readonly HospitalLetter[]): HospitalDatabaseAccess[] {
  const layout = layoutOf(dir, DEFAULT_BASE_PORT);
  const data = join(layout.postgres.dir, 'data');
  if (!existsSync(data)) throw new Error(`There is no state of npm start in ${dir}: name its folder with --state.`);
  const postmaster = runningPostmaster(realpathSync(data));
  if (!postmaster)
    throw new Error(`The hospitals of ${dir} are not running: npm start brings up their Postgres and nodes.`);
  return layout.hospitals
    .filter(({ letter }) => letters.includes(letter))
    .map((hospital) => {
      const file = join(layout.postgres.dir, 'credentials', `${hospital.database}.json`);
      const { owner } = JSON.parse(readFileSync(file, 'utf8')) as { owner: string };
      return {
        title: hospital.title,
        ownerUrl: `postgres://${hospital.database}_owner:${owner}@127.0.0.1:${postmaster.port}/${hospital.database}`,
        networksFile: join(hospital.config, 'networks.json'),
      };
    });
}
