import { Global, Module } from '@nestjs/common';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { openVault, Vault } from '../../../../libs/vault/src/vault.js';
import { NETWORKS } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { ActorKeys } from './actor-keys.js';
import { Keystores, readPassphrase } from './keystores.js';

/** Every key of the hospital, opened once at start: `Vault`, `Keystores`, `ActorKeys`. Nothing else reads the keystore folder. */
@Global()
@Module({
  providers: [
    {
      provide: Vault,
      inject: [GATEWAY_ENV],
      useFactory: async (env: GatewayEnv) =>
        openVault(env.KEYSTORE_DIR, await readPassphrase(env.KEYSTORE_PASSPHRASE_FILE)),
    },
    {
      provide: Keystores,
      inject: [GATEWAY_ENV, NETWORKS],
      useFactory: async (env: GatewayEnv, networks: NetworksConfig) =>
        Keystores.open(env.KEYSTORE_DIR, await readPassphrase(env.KEYSTORE_PASSPHRASE_FILE), networks),
    },
    ActorKeys,
  ],
  exports: [Vault, Keystores, ActorKeys],
})
export class KeysModule {}
