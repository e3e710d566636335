/** What makes a network's blocks: named signers in turn (EIP-225), or work (ethash). */
export type Consensus = 'clique' | 'pow';
export const CONSENSUSES: readonly Consensus[] = ['clique', 'pow'];

/** A pinned release of the go-ethereum module, and the binaries that may stand in for it. */
export interface Release {
  version: string;
  /**
   * Hash of the module's source ("h1:" and base64 of SHA-256, as in go.sum). The module's own go.sum is part of what is hashed, and Go
   * holds every dependency against that while it builds: so this one value pins the whole source of the binary.
   */
  sum: string;
  /** what another release can't do for us */
  purpose: string;
  /** whether a binary of this release, such as "1.13.14", serves as well */
  serves(version: string): boolean;
}

/**
 * `clique` is what hospitals run: the last release that seals Clique. `pow` is for experiments alone: the last that mines ethash; it
 * has had no security fix since April 2023.
 */
export const RELEASES: Readonly<Record<Consensus, Release>> = {
  clique: {
    version: '1.13.15',
    sum: 'h1:U7sSGYGo4SPjP6iNIifNoyIAiNjrmQkz6EwQG+/EZWo=',
    purpose: 'seal Clique',
    serves: canSealClique,
  },
  pow: {
    version: '1.11.6',
    sum: 'h1:2VF8Mf7XiSUfmoNOy3D+ocfl9Qu8baQBrCNbo2CXQ8E=',
    purpose: 'mine proof of work',
    serves: canMine,
  },
};

/**
 * Whether this release can seal Clique and has what the stack calls: 1.10.20 brought `debug_getRawBlock` and the
 * authrpc flags, 1.14 lost Clique.
 */
export function canSealClique(version: string): boolean {
  return isBetween(version, 13);
}

/** Whether this release mines ethash: 1.12 lost it. */
export function canMine(version: string): boolean {
  return isBetween(version, 11);
}

/** From 1.10.20 up to the last release of 1.`lastMinor`. */
function isBetween(version: string, lastMinor: number): boolean {
  const match = /^(\d+)\.(\d+)\.(\d+)/.exec(version);
  if (!match) return false;
  const [major, minor, patch] = match.slice(1).map(Number) as [number, number, number];
  if (major !== 1) return false;
  return minor === 10 ? patch >= 20 : minor >= 11 && minor <= lastMinor;
}
