import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../core.tokens.js';
import { BoundedCache } from '../keys/bounded-cache.js';
import type { Caller } from './caller.js';

/** How old an answer may be. The ledger checks the actor again on every act, whatever this says. */
const FRESH_MS = 1_000;
const CACHED_ACTORS = 20_000;

export interface Standing {
  actor?: NonNullable<Caller['actor']>;
  /** Bits of the roles the actor has on the local ledger; undefined where nobody is registered there. */
  ledgerRoles?: number;
  /** Suspended on the ledger, or disabled as a user of the built-in issuer. */
  suspended: boolean;
}

interface Row {
  address: Buffer | null;
  held: boolean;
  roles: number | null;
  active: boolean | null;
  disabled: boolean | null;
}

/** Which address stands for a subject, and whether it may act. */
@Injectable()
export class ActorDirectory {
  readonly #known = new BoundedCache<string, { until: number; standing: Promise<Standing> }>(CACHED_ACTORS);

  constructor(
    private readonly database: DataSource,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  /** @param builtin whether the subject is a user of the built-in issuer, who may be disabled */
  standingOf(issuer: string, subject: string, builtin: boolean): Promise<Standing> {
    const name = `${issuer}\n${subject}`;
    const known = this.#known.get(name);
    if (known && known.until > Date.now()) return known.standing;
    const standing = this.#read(issuer, subject, builtin);
    this.#known.set(name, { until: Date.now() + FRESH_MS, standing });
    // A failure is not remembered: the next request asks again.
    standing.catch(() => this.#known.delete(name));
    return standing;
  }

  async #read(issuer: string, subject: string, builtin: boolean): Promise<Standing> {
    const [row]: Row[] = await this.database.query(
      `SELECT k.address, k.wrapped_key IS NOT NULL AS held, a.roles, a.active, u.disabled
       FROM (SELECT 1) AS one
       LEFT JOIN gateway.actor_key k ON k.issuer = $1 AND k.subject = $2 AND k.kind = 'actor'
       LEFT JOIN mirror.actor a ON a.network = $3 AND a.address = k.address
       LEFT JOIN gateway.app_user u ON $4 AND u.username = $2`,
      [issuer, subject, this.networks.local, builtin],
    );
    return {
      ...(row?.address ? { actor: { address: row.address, custody: row.held ? 'gateway' : 'self' } } : {}),
      ...(typeof row?.roles === 'number' ? { ledgerRoles: row.roles } : {}),
      suspended: row?.active === false || row?.disabled === true,
    };
  }
}
