import { readFile } from 'node:fs/promises';
import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { z } from 'zod';
import type { Logger } from '../../../../libs/platform/src/logger.js';
import { LOGGER } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { Accounts } from './accounts.service.js';

const fileSchema = z.strictObject({ username: z.string().min(1).max(64), password: z.string().min(12).max(256) });

/** Makes the first administrator of the built-in issuer, once; an existing user of that name is left alone. */
@Injectable()
export class BootstrapAdmin implements OnApplicationBootstrap {
  constructor(
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
    @Inject(LOGGER) private readonly logger: Logger,
    private readonly accounts: Accounts,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    const file = this.env.BOOTSTRAP_ADMIN_FILE;
    if (!this.env.BUILTIN_ISSUER || file === undefined) return;
    const { username, password } = fileSchema.parse(JSON.parse(await readFile(file, 'utf8')));
    if (await this.accounts.exists(username)) return;
    if (await this.accounts.add(username, password, ['admin'])) {
      this.logger.info('made the first administrator');
    }
  }
}
