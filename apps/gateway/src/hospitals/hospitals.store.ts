import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

export interface HospitalRow {
  network: string;
  id: string;
  registrar: Buffer;
  identity_key: Buffer;
  transfer_key: Buffer;
  transfer_key_id: string;
  endpoint_hash: Buffer;
  active: boolean;
  relayers: Buffer[];
}

@Injectable()
export class HospitalStore {
  constructor(private readonly database: DataSource) {}

  /** Hospitals of one network's registry, as the mirror has them, by id. */
  list(network: string): Promise<HospitalRow[]> {
    return this.database.query(
      `SELECT h.*, ARRAY(SELECT r.address FROM mirror.relayer r
                         WHERE r.network = h.network AND r.hospital = h.id AND r.active ORDER BY r.address) AS relayers
       FROM mirror.hospital h WHERE h.network = $1 ORDER BY h.id`,
      [network],
    );
  }
}
