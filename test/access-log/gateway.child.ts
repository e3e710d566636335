import 'reflect-metadata';
import { randomBytes } from 'node:crypto';
import { AccessLog } from '../../apps/gateway/src/audit/access-log.service.js';
import { AccessLogStore } from '../../apps/gateway/src/audit/access-log.store.js';
import { AccessLogChainStore } from '../../apps/gateway/src/audit/access-log-chain.store.js';
import { createDataSource } from '../../libs/database/src/data-source.js';

/** A gateway as far as the access log knows one: it logs and links without a pause, until it is killed. Tells each look once it is committed. */
const dataSource = createDataSource({ url: process.argv[2]!, applicationName: 'test-gateway' });
await dataSource.initialize();
const log = new AccessLog(new AccessLogStore(dataSource));
const chain = new AccessLogChainStore(dataSource);

async function look(): Promise<never> {
  for (;;) {
    const requestId = randomBytes(32);
    await log.record({ principal: randomBytes(32) }, { kind: 'query', requestId });
    process.stdout.write(`${requestId.toString('hex')}\n`);
  }
}

/** In batches of a few, so that there are many of them; a link that fails is tried again, as the gateway does. */
async function link(): Promise<never> {
  for (;;) await chain.link(7).catch(() => undefined);
}

await Promise.race([...Array.from({ length: 16 }, look), link()]);
