import { Injectable } from '@nestjs/common';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { Keystores } from '../keys/keystores.js';
import type { SignerBody } from './signers.schema.js';
import { type SignerRow, SignersStore } from './signers.store.js';

/** The relayers' keys: what they are at, and a hand on the brake. */
@Injectable()
export class SignersService {
  constructor(
    private readonly store: SignersStore,
    private readonly keys: Keystores,
  ) {}

  async list(): Promise<SignerBody[]> {
    return (await this.store.list()).map(present);
  }

  /** In words, what keeps signers that are configured from signing. */
  async troubles(): Promise<string[]> {
    const configured = ({ network, address }: SignerRow) =>
      this.keys.relayers[network]?.some((signer) => signer.address.equals(address)) ?? false;
    const rows = (await this.store.list()).filter((row) => configured(row) && row.reason !== null);
    return rows.map(({ network, address, state, reason }) => {
      const trouble = state === 'active' ? 'does not sign' : `is ${state}`;
      return `the signer ${toHex(address)} of ${network} ${trouble}: ${reason}`;
    });
  }

  /** @throws ProblemError NOT_FOUND; CONFLICT for a quarantined signer, which only its cause's end sets free */
  async setPaused(id: number, paused: boolean): Promise<SignerBody> {
    await this.store.setPaused(id, paused);
    const row = (await this.store.list()).find((signer) => signer.id === id);
    if (!row) throw new ProblemError('NOT_FOUND');
    if (row.state === 'quarantined') {
      throw new ProblemError('CONFLICT', {
        detail: `The signer is quarantined: ${row.reason ?? 'no reason is known'}.`,
      });
    }
    return present(row);
  }
}

function present(row: SignerRow): SignerBody {
  return {
    id: row.id,
    network: row.network,
    address: toHex(row.address),
    state: row.state,
    ...(row.reason === null ? {} : { reason: row.reason }),
    nextNonce: row.next_nonce,
    open: row.open,
  };
}
