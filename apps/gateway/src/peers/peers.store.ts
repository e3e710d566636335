import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

export interface PeerRow {
  network: string;
  enode: string;
  created_at: Date;
}

@Injectable()
export class PeersStore {
  constructor(private readonly database: DataSource) {}

  list(): Promise<PeerRow[]> {
    return this.database.query('SELECT network, enode, created_at FROM gateway.peer ORDER BY network, enode');
  }

  async add(network: string, enode: string): Promise<void> {
    await this.database.query('INSERT INTO gateway.peer (network, enode) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
      network,
      enode,
    ]);
  }

  async remove(network: string, enode: string): Promise<void> {
    await this.database.query('DELETE FROM gateway.peer WHERE network = $1 AND enode = $2', [network, enode]);
  }
}
