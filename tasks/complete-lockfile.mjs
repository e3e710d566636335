// Completes package-lock.json for all platforms: `node tasks/complete-lockfile.mjs` after a change of dependencies; `--check` only looks.
// npm leaves out optional packages of other platforms when it installs into a tree that lacks them, or when the registry at hand
// doesn't serve them, and then `npm ci` refuses the lockfile everywhere. Their versions are stated by the packages that want them.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const FILE = join(dirname(fileURLToPath(import.meta.url)), '../package-lock.json');

const OS = /(?:^|[-/])(aix|android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|wasm32|win32)(?=-|$)/;
const CPU = /-(amd64|arm64|arm|armv7|ia32|loong64|mips64el|ppc64|riscv64|s390x|x64)(?=-|$)/;
const CPU_NAMES = { amd64: 'x64', armv7: 'arm' };

/** What a package may be installed on, read from its name. @throws Error when the name doesn't say it */
function platformOf(name) {
  const os = OS.exec(name)?.[1];
  if (os === 'wasm32') return { cpu: ['wasm32'] };
  const cpu = CPU.exec(name)?.[1];
  if (!os || !cpu) throw new Error(`${name}: the name doesn't say which platform it is for`);
  const libc = os !== 'linux' ? undefined : /musl/.test(name) ? 'musl' : /-gnu/.test(name) ? 'glibc' : undefined;
  return { cpu: [CPU_NAMES[cpu] ?? cpu], ...(libc && { libc: [libc] }), os: [os] };
}

/** Whether `name` resolves for the package at `path`, by the folders Node would look into. */
function resolves(packages, path, name) {
  const folders = [''];
  for (let end = path.length; end > 0; end = path.lastIndexOf('/node_modules/', end - 1))
    folders.push(`${path.slice(0, end)}/`);
  return folders.some((folder) => packages[`${folder}node_modules/${name}`]);
}

/** The optional packages that the lockfile's packages want and that it lacks, as entries to add. */
export function missingEntries({ packages }) {
  const entries = {};
  for (const [path, entry] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (resolves(packages, path, name)) continue;
      if (!/^\d+\.\d+\.\d+[\w.+-]*$/.test(version))
        throw new Error(`${path} wants ${name} ${version}, no exact version`);
      const { cpu, libc, os } = platformOf(name);
      const dev = entry.dev ? { dev: true } : {};
      entries[`node_modules/${name}`] = {
        version,
        cpu,
        ...dev,
        ...(libc && { libc }),
        optional: true,
        ...(os && { os }),
      };
    }
  }
  return entries;
}

function main() {
  const lockfile = JSON.parse(readFileSync(FILE, 'utf8'));
  const missing = missingEntries(lockfile);
  const names = Object.keys(missing);
  if (names.length === 0) return 0;
  if (process.argv.includes('--check')) {
    process.stdout.write(`package-lock.json lacks ${names.join(', ')}\nRepair: node tasks/complete-lockfile.mjs\n`);
    return 1;
  }
  const all = Object.entries({ ...lockfile.packages, ...missing });
  lockfile.packages = Object.fromEntries(all.sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(FILE, `${JSON.stringify(lockfile, null, 2)}\n`);
  process.stdout.write(`${names.length} packages added to package-lock.json\n`);
  return 0;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) process.exitCode = main();
