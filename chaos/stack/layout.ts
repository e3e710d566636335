import { join } from 'node:path';
import { type HospitalLayout, layoutOf, type StackLayout } from '../../deploy/local/layout.js';

/**
 * The chain a run stands on. `instant`: one sealer, a block when a transaction arrives, final at once, as a hospital's local
 * network. `blocks`: one sealer, a block a second, final at the third: there is something to take back. `pair`: the same with
 * two sealers that are peers.
 */
export type NetworkKind = 'instant' | 'blocks' | 'pair';

export const DEFAULT_BASE_PORT = 5200;
export const CHAIN_ID = 420_001;

/** Where everything of a campaign is: Postgres for all of its runs, one prepared state for each kind of network, the run at hand. */
export interface ChaosLayout {
  dir: string;
  postgres: StackLayout['postgres'];
  hospital: HospitalLayout;
  /** ports of the two gateway replicas */
  replicas: HospitalLayout['ports'][];
  ports: { proxy: number; redis: number; signer: number; peers: [number, number] };
  /** folder of the run at hand */
  run: string;
  template(kind: NetworkKind): string;
  /** where the folder of a run that went wrong is kept */
  kept(name: string): string;
}

export function chaosLayout(dir: string, base: number): ChaosLayout {
  const run = join(dir, 'run');
  const { hospitals } = layoutOf(run, base);
  const [hospital, second] = hospitals as [HospitalLayout, HospitalLayout];
  return {
    ...{ dir, run, hospital },
    postgres: { dir: join(dir, 'postgres'), port: base + 30 },
    replicas: [hospital.ports, second.ports],
    ports: { proxy: base + 20, redis: base + 21, signer: base + 24, peers: [base + 22, base + 23] },
    template: (kind) => join(dir, 'templates', kind),
    kept: (name) => join(dir, 'kept', name),
  };
}

export const usedPorts = ({ replicas, ports, postgres }: ChaosLayout): number[] => [
  ...replicas.flatMap((one) => Object.values(one)),
  ...[ports.proxy, ports.redis, ports.signer, ...ports.peers, postgres.port],
];
