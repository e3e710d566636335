import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { NetworkBody } from '../networks/network.schema.js';
import { NetworksService } from '../networks/networks.service.js';
import { SignersService } from '../signers/signers.service.js';

/** Blocks the mirror may be behind its node before the gateway calls itself degraded. */
const MOST_LAG = 20;

export interface HealthDetails {
  status: 'ok' | 'degraded';
  /** What isn't as it should be, in words. */
  reasons: string[];
  networks: NetworkBody[];
}

@Injectable()
export class HealthService {
  constructor(
    private readonly database: DataSource,
    private readonly networks: NetworksService,
    private readonly signers: SignersService,
  ) {}

  /** Ready as long as requests can be answered; degraded when acts will not be confirmed soon. @throws ProblemError DATABASE_UNAVAILABLE */
  async details(): Promise<HealthDetails> {
    await this.database.query('SELECT 1').catch((cause: unknown) => {
      throw new ProblemError('DATABASE_UNAVAILABLE', { cause });
    });
    const networks = await this.networks.list();
    const reasons = networks.flatMap(({ name, node, mirror }) => [
      ...(node.reachable ? [] : [`the node of ${name} is out of reach`]),
      ...(node.stalled ? [`no block on ${name} for ${node.headAge} s: too few of its signers are at work`] : []),
      ...(mirror ? [] : [`the mirror of ${name} has not begun`]),
      ...(mirror?.stopped === undefined ? [] : [`the mirror of ${name} stopped: ${mirror.stopped}`]),
      ...((mirror?.lag ?? 0) > MOST_LAG ? [`the mirror of ${name} is ${mirror?.lag} blocks behind`] : []),
    ]);
    reasons.push(...(await this.signers.troubles()));
    return { status: reasons.length === 0 ? 'ok' : 'degraded', reasons, networks };
  }
}
