/** The npm scripts: what `--help` says of each, before anything is installed. `tasks/<name>.ts` is what runs. */
export const TASKS = {
  start: {
    summary: 'two hospitals with their nodes, on this machine, with sample data',
    usage: `npm start -- [options]
  --exit          end after the summary, with 0 when everything worked
  --fresh         start from nothing: the state folder is removed first
  --ports BASE    first port of the range used (default 4100)
  --state DIR     keep everything in this folder (default .emr)
  --no-demo       start the hospitals, load nothing
Ctrl-C stops everything in order; the next start goes on where this one ended.`,
  },
  test: {
    summary: 'all tests: contract, unit, integration, end to end',
    usage: `npm test -- [SUITE ...]
  SUITE           contracts, slither, unit, integration, chaos, e2e (default: all of them)
Ends with one line: N passed, N failed, and N skipped where something was. What was skipped, and why, stands above it.`,
  },
  check: {
    summary: 'format, lint, types, import rules, unused code, lockfile, sizes',
    usage: `npm run check -- [STEP ...]
  STEP            biome, types, imports, unused, lockfile, environment, size (default: all of them)`,
  },
  bench: {
    summary: 'measurements',
    usage: `npm run bench -- NAME [options]
  NAME            access-log, audit, export, gateway, indexer, latency
  --json FILE     write the figures as JSON too
NAME --help tells all of its options.`,
  },
  chaos: {
    summary: 'kills, faults and losses under load, and whether every act still happened exactly once',
    usage: `npm run chaos -- [--runs N] [--seed S] [--only NAME] [--seconds N] [--json FILE]
  --runs N        how many runs (default: one of each scenario)
  --seed S        seed of the first run; each further run has the next one (default 1)
  --only NAME     only this scenario; several with commas between
  --seconds N     begin no further run after so many seconds
  --json FILE     write the report as JSON too
  --history FILE  write what the oracle was given in the last run
  --state DIR     state folder (default .emr/chaos); a run that went wrong leaves its own in DIR/kept
  --ports BASE    ports from BASE up (default 5200)
  --fresh         prepare everything anew
A run that went wrong is repeated by its own seed: --seed S --only NAME --runs 1 makes the same decisions.
Ends with 0 when nothing was lost, doubled, stuck or taken back. docs/failure-matrix.md lists the scenarios.`,
  },
  'indexer-trees': {
    summary:
      'random trees of blocks with forks, gaps, restarts and deaths, and whether the mirror still equals the chain',
    usage: `npm run indexer:trees -- [--trees N] [--seed S] [--json FILE]
  --trees N       how many trees (default 1000); 20 to 40 a second
  --seed S        seed of the first; each further tree has the next one (default 1)
  --json FILE     write the report as JSON too
Ends with one line of counts, and with 0 when nothing is missing, double, stale or lost. A tree that went wrong is grown again by its own seed.`,
  },
  caliper: {
    summary: 'Hyperledger Caliper over consensus, difficulty, miners and load, at geth and through the REST API',
    usage: `npm run caliper -- [--matrix quick|full] [options]
  --matrix NAME    quick (default, at most ten minutes) or full (hours)
  --consensus LIST only these of clique-0, clique-1, pow
  --difficulty LIST  only these of low, medium, high
  --miners LIST    only these of 1, 2, 3
  --resume         go on with what an earlier run of the same matrix has measured
  --json FILE      write the figures as JSON too
  --out DIR        where the report goes (default .emr/caliper/MATRIX/report)
  --state DIR      state folder (default .emr/caliper)
  --ports BASE     ports from BASE up (default 5300)
Writes report.md with its plots, and Caliper's own reports beside it. Proof of work needs a DAG, made once: minutes, 2 GiB.`,
  },
  contracts: {
    summary: 'compile the ledger contract anew',
    usage:
      'npm run contracts\nWrites libs/contracts/src/generated. Every other task does this by itself when the sources changed.',
  },
  migrate: {
    summary: 'bring a database to the latest schema',
    usage: `npm run migrate -- [--url URL]
  --url URL       connection of the database's owner (default: DATABASE_URL of the environment)`,
  },
  'indexer-rebuild': {
    summary: 'make the mirror anew from the chain, compare it with the live one, switch',
    usage: `npm run indexer:rebuild -- [options]
Reads every block again beside the running indexer, checks it, and writes a second mirror (schema mirror_rebuild). Then compares the
two byte by byte. Ends with 0 when they are equal, with 1 and the first rows that differ when they are not. Started again, it goes on.
  --switch              put the rebuilt mirror in the live one's place when they are equal; the indexer goes on by itself
  --accept-differences  with --switch: also when they are not (the live mirror is damaged, the chain is right)
  --compare-only        build nothing new: bring what was rebuilt to where the live mirror is, and compare
  --partition-by WHAT   month or none: how the rebuilt mirror keeps its events (default: as the live one,
                        and by month from MIRROR_PARTITION_EVENTS events on, 20 million)
  --fresh               throw away what an earlier run left, and begin anew
  --drop-old            remove the mirror that an earlier --switch replaced (schema mirror_old), and end
  --drop-rebuilt        remove what was rebuilt (schema mirror_rebuild), and end
  --state DIR           of a hospital started with npm start: where it keeps its state (default .emr, unless DATABASE_URL is set)
  --hospital a|b        which of the two (default: both, one after the other)
Environment, in place of --state: DATABASE_URL (of the database's owner), NETWORKS_FILE (the indexer's).`,
  },
  provision: {
    summary: 'secrets, keys and network files for docker-compose.yml',
    usage: `npm run provision -- hospital --dir DIR --id N --slug NAME --peer-url URL [--issuer URL --jwks-uri URL]
npm run provision -- consortium --dir DIR --slug NAME [--chain-id N] PUBLIC.json ...
  hospital        makes one hospital's secrets and keys; SECRETS_DIR is DIR/secrets, CONFIG_DIR is DIR/config
  consortium      writes what follows from every founder's public.json: geneses, ledgers, networks, peers`,
  },
  geth: {
    summary: 'geth, and networks of geth nodes: genesis, start, state, stop',
    usage: `npm run geth -- [path] [clique|pow]
  prints the path of the geth that hospitals run (1.13.15), or of the one that mines (1.11.6, for experiments); builds it once with the Go
  toolchain when neither GETH_BIN (GETH_POW_BIN) nor the PATH has a fitting one
npm run geth -- genesis --chain-id N --consensus clique --signers 0x…,0x… [--period SECONDS] [options]
npm run geth -- genesis --chain-id N --consensus pow [--difficulty N] [options]
npm run geth -- genesis --variant paper [--alloc …] [--out FILE]
  --gas-limit N      gas a block may use (default 60000000)
  --alloc 0x…=WEI,…  balances at block 0 (default: none; transactions are free)
  --out FILE         a new file (default: printed)
npm run geth -- up [--consensus clique|pow] [--nodes N] [--chain-id N] [--period SECONDS] [--difficulty N] [--gas-limit N] [options]
  --nodes N          nodes, each of which seals or mines (default 3)
  --threads N        mining threads of each node (default 1)
  --ports BASE       BASE for the first node's peers, BASE + 1 for its RPC, BASE + 2 for the second's peers … (default 5000)
  --detach           come back once the network runs; "down" ends it
  --fresh            remove the folder's network first
  --state DIR        the network's folder (default .emr/geth); a network there goes on as it was
npm run geth -- status [--json] [--state DIR]
npm run geth -- down [--state DIR]
npm run geth -- peering-day
  two hospitals that mined apart are peered, with real proof of work: minutes, after the DAGs are made (once, 2 GiB)
npm run geth -- peers list [--json] [NODE]
npm run geth -- peers add ENODE --genesis-hash 0x… --network-id N [NODE]
npm run geth -- peers add --with SOCKET [NODE]
npm run geth -- peers remove ENODE [NODE]
npm run geth -- signers list [NODE]
npm run geth -- signers vote 0xADDRESS in|out [--seconds N] [NODE]
  NODE               --node N of the network in --state DIR (default node 1), or --ipc SOCKET
  --with SOCKET      the other node's own socket: its address, genesis hash and network id are asked of it
  --seconds N        how long to wait for the other signers' votes (default 30)`,
  },
};
