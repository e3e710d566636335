import { readFile } from 'node:fs/promises';
import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { z } from 'zod';
import type { Logger } from '../../../../libs/platform/src/logger.js';
import { LOGGER } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { AuthStore } from './auth.store.js';
import { Passwords } from './passwords.js';

const fileSchema = z.strictObject({ username: z.string().min(1).max(64), password: z.string().min(12).max(256) });

/** Makes the first administrator of the built-in issuer, once; an existing user of that name is left alone. */
@Injectable()
export class BootstrapAdmin implements OnApplicationBootstrap {
  constructor(
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
    @Inject(LOGGER) private readonly logger: Logger,
    private readonly store: AuthStore,
    private readonly passwords: Passwords,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    const file = this.env.BOOTSTRAP_ADMIN_FILE;
    if (!this.env.BUILTIN_ISSUER || file === undefined) return;
    const { username, password } = fileSchema.parse(JSON.parse(await readFile(file, 'utf8')));
    if (await this.store.userOf(username)) return;
    if (await this.store.addUser(username, await this.passwords.hash(password), ['admin'])) {
      this.logger.info('made the first administrator');
    }
  }
}
