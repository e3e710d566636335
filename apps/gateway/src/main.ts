import { parseEnv } from '../../../libs/platform/src/env.js';
import { createLogger } from '../../../libs/platform/src/logger.js';
import { createGateway } from './app.setup.js';
import { gatewayEnv } from './gateway.env.js';

/** How long requests under way may take to end once the process is told to stop. */
const DRAIN_MS = 5_000;
/** Whatever hangs must not keep the process: everything is stored before it is sent, so an abrupt end loses nothing. */
const SHUTDOWN_MS = 15_000;

async function main(): Promise<void> {
  const env = parseEnv(gatewayEnv, process.env);
  const logger = createLogger('gateway', env.LOG_LEVEL);
  const { app, edge } = await createGateway(env, logger);

  let stopping = false;
  const stop = async (signal: string) => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, 'stopping');
    setTimeout(() => {
      logger.error('shutdown took too long');
      process.exit(1);
    }, SHUTDOWN_MS).unref();
    await edge.drain(DRAIN_MS);
    await app.close();
    logger.info('stopped');
    process.exit(0);
  };
  process.once('SIGTERM', () => void stop('SIGTERM'));
  process.once('SIGINT', () => void stop('SIGINT'));

  // A crowd that connects at once waits here, where the system's own limit allows for it, and isn't turned away unheard.
  await app.listen({ host: env.HOST, port: env.PORT, backlog: 4_096 });
  logger.info({ host: env.HOST, port: env.PORT, hospital: env.HOSPITAL_SLUG }, 'ready');
}

main().catch((error: unknown) => {
  // The logger may not exist yet, and the reason must be readable either way.
  console.error(error);
  process.exit(1);
});
