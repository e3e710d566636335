import { LEAST_DIFFICULTY } from '../deploy/geth/genesis.js';

export const consensuses = ['clique-0', 'clique-1', 'pow'] as const;
export const difficulties = ['low', 'medium', 'high'] as const;
export const paths = ['direct', 'gateway'] as const;
export const operations = ['open', 'query-view', 'query-audited', 'transfer'] as const;
export const minerCounts = [1, 2, 3] as const;

/** `clique-0`: a block when a transaction arrives; `clique-1`: a block a second; `pow`: ethash. */
export type Consensus = (typeof consensuses)[number];
export type Difficulty = (typeof difficulties)[number];
export type Path = (typeof paths)[number];
export type Operation = (typeof operations)[number];

/** One network under measurement. */
export interface Cell {
  consensus: Consensus;
  difficulty: Difficulty;
  /** nodes, each of which seals or mines */
  miners: number;
}

/** One round of Caliper: so many of one operation, offered at an even rate whatever becomes of them. */
export interface Round {
  operation: Operation;
  count: number;
  /** offered load, operations a second */
  load: number;
}

export interface Matrix {
  name: 'quick' | 'full';
  cells: Cell[];
  /** of each path of a cell, in order */
  rounds(cell: Cell): Round[];
}

/**
 * Expected hashes a block. One thread of a server of the 2020s makes about 30,000 a second, so with one miner a block comes every 4, 8
 * and 16 s on average. Less than the lowest ethash doesn't go; the highest keeps a full matrix within hours.
 * Clique has no difficulty to choose (EIP-225: 1 or 2, by whose turn it is): there the three are three repeats of the same network, and
 * how far they differ is the measurement's own noise.
 */
export const EXPECTED_HASHES: Record<Difficulty, number> = {
  low: LEAST_DIFFICULTY,
  medium: 2 * LEAST_DIFFICULTY,
  high: 4 * LEAST_DIFFICULTY,
};

/**
 * Blocks, its own included, after which the gateway calls an act confirmed. With one sealer nothing is ever taken back. Several Clique
 * sealers: one more than they are, as the product has it. Several miners find blocks at the same time now and then.
 */
export function finalityDepth({ consensus, miners }: Cell): number {
  if (miners === 1) return 1;
  return consensus === 'pow' ? 4 : miners + 1;
}

export const cellName = ({ consensus, difficulty, miners }: Cell): string => `${consensus}-${difficulty}-${miners}`;

export function matrixOf(name: Matrix['name']): Matrix {
  return name === 'quick'
    ? { name, cells: quickCells, rounds: (cell) => atLoads(cell, [LOADS[0]]) }
    : { name, cells: everyCell(), rounds: (cell) => atLoads(cell, LOADS) };
}

/** Offered operations a second; a proof-of-work block takes whatever came since the last, so fewer operations say as much there. */
const LOADS = [10, 40] as const;
const SECONDS = 4;
const POW_SECONDS = 2;

function atLoads(cell: Cell, loads: readonly number[]): Round[] {
  const seconds = cell.consensus === 'pow' ? POW_SECONDS : SECONDS;
  return loads.flatMap((load) => operations.map((operation) => ({ operation, load, count: load * seconds })));
}

/** What can be had in ten minutes on two cores: each consensus once, and several sealers. */
const quickCells: Cell[] = [
  { consensus: 'clique-0', difficulty: 'low', miners: 1 },
  { consensus: 'clique-1', difficulty: 'low', miners: 3 },
  { consensus: 'pow', difficulty: 'low', miners: 1 },
];

function everyCell(): Cell[] {
  return consensuses.flatMap((consensus) =>
    difficulties.flatMap((difficulty) => minerCounts.map((miners) => ({ consensus, difficulty, miners }))),
  );
}
