import { startPostgres } from '../../deploy/local/postgres.js';

// Started by a test to be killed: what it started has to outlive it.
const [dir = '', port = ''] = process.argv.slice(2);
const server = await startPostgres({ dir, port: Number(port) });
process.send?.(server.pid);
setInterval(() => undefined, 1_000);
