import { Global, Module } from '@nestjs/common';
import { Vault } from '../../../../libs/vault/src/vault.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { Accounts } from './accounts.service.js';
import { AccountsStore } from './accounts.store.js';
import { ActorDirectory } from './actor-directory.js';
import { AssertionsStore } from './assertions.store.js';
import { AuthController } from './auth.controller.js';
import { Authenticator } from './authenticator.js';
import { BootstrapAdmin } from './bootstrap-admin.js';
import { openBuiltinKeys } from './builtin-keys.js';
import { roleNames } from './caller.js';
import { type IssuerEntry, Issuers, readIssuers } from './issuers.js';
import { Passwords } from './passwords.js';
import { type BuiltinIssuer, TokenService } from './token.service.js';
import { TokenVerifier } from './token-verifier.js';

/** Everyone who may vouch for callers: ISSUERS_FILE, and the built-in issuer where it is on. */
class TrustedIssuers {
  constructor(
    readonly issuers: Issuers,
    readonly builtin: BuiltinIssuer | undefined,
  ) {}
}

/** The built-in issuer's entry when ISSUERS_FILE has none. The name doesn't depend on addresses: actors are bound to it. */
function defaultBuiltin(env: GatewayEnv): IssuerEntry {
  return {
    issuer: `urn:emr-gateway:${env.HOSPITAL_SLUG}`,
    builtin: true,
    hospital: env.HOSPITAL_ID,
    roles: [...roleNames],
    algorithms: ['EdDSA'],
    clients: [],
  };
}

async function trustedIssuers(env: GatewayEnv, vault: Vault): Promise<TrustedIssuers> {
  const entries = readIssuers(env.ISSUERS_FILE);
  if (!env.BUILTIN_ISSUER) return new TrustedIssuers(new Issuers(entries, undefined), undefined);
  if (!entries.some((entry) => entry.builtin)) entries.push(defaultBuiltin(env));
  const keys = await openBuiltinKeys(env.KEYSTORE_DIR, vault);
  const issuers = new Issuers(entries, keys.jwks);
  const entry = issuers.builtin;
  return new TrustedIssuers(issuers, entry && { entry, keys, audience: env.AUDIENCE });
}

@Global()
@Module({
  controllers: [AuthController],
  providers: [
    Accounts,
    AccountsStore,
    AssertionsStore,
    Passwords,
    ActorDirectory,
    Authenticator,
    BootstrapAdmin,
    { provide: TrustedIssuers, inject: [GATEWAY_ENV, Vault], useFactory: trustedIssuers },
    { provide: Issuers, inject: [TrustedIssuers], useFactory: (trusted: TrustedIssuers) => trusted.issuers },
    {
      provide: TokenVerifier,
      inject: [Issuers, GATEWAY_ENV],
      useFactory: (issuers: Issuers, env: GatewayEnv) =>
        new TokenVerifier(issuers, { hospital: env.HOSPITAL_ID, audience: env.AUDIENCE }),
    },
    {
      provide: TokenService,
      inject: [TrustedIssuers, Accounts, AssertionsStore],
      useFactory: (trusted: TrustedIssuers, accounts: Accounts, assertions: AssertionsStore) =>
        new TokenService(trusted.builtin, accounts, assertions),
    },
  ],
  exports: [Authenticator, Issuers, Accounts],
})
export class AuthModule {}
