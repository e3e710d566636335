import { randomBytes } from 'node:crypto';
import { toHex } from '../../libs/platform/src/bytes.js';
import type { Logger } from '../geth/program.js';
import { endpointHash } from '../hospital-keys.js';
import { Latencies, Session } from './demo/client.js';
import { demoUsers, peerUrl } from './provision.js';
import type { RunningStack } from './stack.js';

/**
 * Has each hospital tell the registry where its peer port is now. The registry holds the hash of the address, and other
 * hospitals refuse one that differs; it differs when an earlier start of this state used other ports.
 */
export async function updateEndpoints(stack: RunningStack, logger: Logger, signal: AbortSignal): Promise<void> {
  for (const { layout, api, passwords } of stack.hospitals) {
    const username = demoUsers[layout.letter][0]?.username ?? '';
    const admin = new Session(api, username, passwords[username] ?? '', new Latencies(), signal);
    const { json } = await admin.expect([200], { path: '/v1/admin/hospitals' });
    const entry = json.items.find(
      ({ id, network }: { id: number; network: string }) => id === layout.id && network === 'global',
    );
    const now = toHex(endpointHash(peerUrl(layout)));
    if (!entry || entry.endpointHash === now) continue;
    logger.info(`${layout.title}: telling the registry about the new ports`);
    const { registrar, identityKey, transferKey, transferKeyId } = entry;
    await admin.expect([200, 201], {
      ...{ method: 'POST', path: `/v1/admin/hospitals/${layout.id}/keys`, prefer: 'wait=30' },
      key: `endpoint-${randomBytes(12).toString('hex')}`,
      body: { registrar, identityKey, transferKey, transferKeyId, endpointHash: now },
    });
  }
}
