import { Inject, Injectable } from '@nestjs/common';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { Vault } from '../../../../libs/vault/src/vault.js';
import { rolesOfBits } from '../auth/caller.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { readPeerNames } from '../peering/peers.file.js';
import type { Staff } from './staff.schema.js';

/** What the tables know of who looked. */
export interface StaffRow {
  /** Address on the ledger. */
  actor: Buffer | null;
  /** Keyed hash of the log-in; where there is no address. */
  principal: Buffer | null;
  roles: number | null;
  /** Log-in name, for the hospital's own. */
  subject: string | null;
  self: boolean;
}

/** Staff and hospitals as whoever reads about them may know them. */
@Injectable()
export class StaffIdentity {
  readonly #names: Map<number, string>;

  constructor(
    private readonly vault: Vault,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
  ) {
    this.#names = readPeerNames(env.PEERS_FILE);
  }

  get ownNumber(): number {
    return this.env.HOSPITAL_ID;
  }

  hospital(number: number): { number: number; name: string | null } {
    const name = number === this.env.HOSPITAL_ID ? this.env.HOSPITAL_SLUG : this.#names.get(number);
    return { number, name: name ?? null };
  }

  /**
   * For a patient: role and team, an id of theirs alone, and a name only if the hospital chose to show names (decision 019).
   * @param reader whose view it is: ids made for one reader say nothing to another
   */
  forPatient(row: StaffRow, team: Buffer | null, reader: Buffer): Staff {
    const named = this.env.PATIENT_SEES_STAFF === 'name' && row.subject !== null && !row.self;
    return { ...this.#common(row, team, reader), ...(named ? { name: row.subject! } : {}) };
  }

  /** For an officer, who has to answer for it: with the address. */
  forOfficer(row: StaffRow, team: Buffer | null): Staff {
    const { actor, subject, self } = row;
    return {
      ...this.#common(row, team, Buffer.alloc(0)),
      ...(subject !== null && !self ? { name: subject } : {}),
      ...(actor ? { address: toHex(actor) } : {}),
    };
  }

  #common({ actor, principal, roles, self }: StaffRow, team: Buffer | null, reader: Buffer): Staff {
    const hex = (bytes: Buffer | null) => bytes?.toString('hex') ?? '';
    const id = this.vault.indexOf(JSON.stringify(['staff', hex(reader), hex(actor), actor ? '' : hex(principal)]));
    return {
      id: `st_${id.toString('hex', 0, 16)}`,
      self,
      roles: self ? ['patient'] : rolesOfBits(roles ?? 0),
      team: team && toHex(team),
    };
  }
}
