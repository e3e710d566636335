import { join } from 'node:path';
import type { HospitalLayout } from './layout.js';
import { keyFiles } from './provision.js';

/** What a gateway of this hospital is told, whichever ports this replica listens on; DATABASE_URL and NETWORKS_FILE come on top. */
export function gatewayEnvironment(hospital: HospitalLayout, ports: HospitalLayout['ports']): Record<string, string> {
  const files = keyFiles(hospital);
  return {
    ...{ NODE_ENV: 'production', LOG_LEVEL: 'info', HOST: '127.0.0.1' },
    ...{ HOSPITAL_ID: String(hospital.id), HOSPITAL_SLUG: hospital.slug, AUDIENCE: hospital.slug },
    ...{ PORT: String(ports.api), MANAGEMENT_PORT: String(ports.management), PEER_PORT: String(ports.peer) },
    ...{ ISSUERS_FILE: join(hospital.config, 'issuers.json'), PEERS_FILE: join(hospital.config, 'peers.json') },
    ...{ BUILTIN_ISSUER: 'on', BOOTSTRAP_ADMIN_FILE: files.bootstrapAdmin },
    ...{ KEYSTORE_DIR: hospital.keys, KEYSTORE_PASSPHRASE_FILE: files.passphrase },
  };
}
