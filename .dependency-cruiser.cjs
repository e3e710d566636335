// The import rules of the project: an arrow that is not listed in ALLOWED is an error. `npm run check` runs them.

/** Folder → what of ours it may import beside itself. Tests may import what they like. */
const ALLOWED = {
  'libs/platform': [],
  // The hash function is shared rather than written twice; nothing else of ours, so that an auditor has little to read.
  'libs/proof': ['libs/platform/src/keccak.ts'],
  'libs/contracts': ['libs/platform'],
  'libs/vault': ['libs/platform'],
  'libs/database': ['libs/platform'],
  'libs/chain-client/src/rpc': ['libs/contracts', 'libs/platform'],
  // A key may be held by a signer that is reached over JSON-RPC.
  'libs/chain-client/src/keys': ['libs/chain-client/src/rpc', 'libs/contracts', 'libs/platform'],
  'libs/chain-client/src/submission': ['libs/chain-client', 'libs/contracts', 'libs/database', 'libs/platform'],
  'apps/gateway': ['libs'],
  'apps/indexer': ['libs/contracts', 'libs/proof', 'libs/database', 'libs/platform', 'libs/chain-client/src/rpc'],
  // Shares nothing with what it checks: a fault of ours must not be its fault too (docs/decisions/018).
  verifier: [],
  'deploy/geth': ['libs'],
};

const TESTS = '(\\.spec\\.ts$|^test/|/test/)';
const OURS = '^(apps|libs|deploy|tasks|bench|chaos|caliper|verifier|test)/';
/** What Caliper loads: it needs packages of caliper/package.json, which are installed when it runs. */
const LOADED_BY_CALIPER = '^caliper/.*\\.cjs$';
const literal = (path) => path.replaceAll('.', '\\.');
const below = (path) => `^${literal(path)}${path.endsWith('.ts') ? '$' : '/'}`;

const arrows = Object.entries(ALLOWED).map(([folder, targets]) => ({
  name: `arrows-of-${folder.replaceAll('/', '-')}`,
  comment: `${folder} may import of ours: ${targets.join(', ') || 'nothing'}`,
  severity: 'error',
  from: { path: below(folder), pathNot: TESTS },
  to: { path: OURS, pathNot: [folder, ...targets].map(below) },
}));

module.exports = {
  forbidden: [
    ...arrows,
    {
      name: 'no-cycles',
      comment: 'Two files that need each other are one file, or lack a third',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'production-code-imports-no-test',
      severity: 'error',
      from: { path: OURS, pathNot: TESTS },
      to: { path: TESTS, pathNot: 'node_modules' },
    },
    {
      name: 'apps-and-libs-import-no-tooling',
      comment: 'deploy, tasks, bench, chaos and caliper stand on apps and libs, not the other way round',
      severity: 'error',
      from: { path: '^(apps|libs|verifier)/', pathNot: TESTS },
      to: { path: '^(deploy|tasks|bench|chaos|caliper)/' },
    },
    {
      name: 'feature-internals',
      comment:
        "A feature uses another's .service and .schema (and its module, to be wired), never its .controller or .store",
      severity: 'error',
      from: { path: '^apps/gateway/src/([^/]+)/', pathNot: TESTS },
      to: { path: '^apps/gateway/src/[^/]+/.*\\.(controller|store)\\.ts$', pathNot: '^apps/gateway/src/$1/' },
    },
    {
      name: 'ethers-is-not-for-the-hot-path',
      comment: 'Fixed-layout codecs do what ethers would, a hundred times faster; it serves tools and tests',
      severity: 'error',
      from: { path: '^(apps|libs|verifier)/', pathNot: ['^libs/(contracts|chain-client)/', TESTS] },
      to: { path: 'node_modules/ethers/' },
    },
    {
      name: 'the-queue-is-a-doorbell',
      comment: 'Only the submission rings it: nothing else may come to depend on jobs being kept',
      severity: 'error',
      from: { path: OURS, pathNot: ['^libs/chain-client/src/submission/', TESTS] },
      to: { path: 'node_modules/bullmq/' },
    },
    {
      name: 'no-undeclared-packages',
      severity: 'error',
      from: { path: OURS, pathNot: LOADED_BY_CALIPER },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'undetermined'] },
    },
    {
      name: 'production-code-imports-no-dev-package',
      severity: 'error',
      from: { path: '^(apps|libs|deploy|verifier)/', pathNot: TESTS },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: { path: OURS, pathNot: LOADED_BY_CALIPER },
      to: { couldNotResolve: true, pathNot: 'libs/contracts/src/generated' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|generated|out|cache|\\.emr)/|^caliper/node_modules/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.mts', '.js', '.mjs', '.cjs', '.json'],
    },
  },
};
