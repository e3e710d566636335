import type { EntityManager } from 'typeorm';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';

/** What one step of an act puts on a ledger, before it is named, timed and signed. */
export interface StepIntent {
  /** An `Operation` code of libs/contracts. */
  code: number;
  /** 32 bytes; zeros for acts without a record. */
  recordId: Buffer;
  /** From `parameters.*` of libs/contracts. */
  parameters: Buffer;
  /** Who signs: the caller (default), the hospital's registrar, or a key of ours. */
  actor?: 'caller' | 'registrar' | { address: Buffer; key: Buffer };
  /** EIP-712 signature made by a self-held key over exactly this act; needs `deadline` to be the signed one. */
  signature?: Buffer;
  /** As signed by a self-held key; default: a salted commitment to the token. */
  authContext?: Buffer;
  /** Unix seconds; default: seven days from now. */
  deadline?: number;
}

export interface Step {
  /** Tells the steps of one request apart; enters the request id. The main step has none. */
  step?: string;
  /** Tier ("local", "global") or name of a network. */
  network: string;
  /** Checks what must hold, and says what to sign. Not called for a replay. Throw ProblemError to refuse. */
  build(requestId: Buffer): Promise<StepIntent> | StepIntent;
}

/** Steps of an act that stands on both ledgers: the local one's is the main step, the global one's rides along unless both are one network. */
export function everywhere(networks: NetworksConfig, build: Step['build']): Step[] {
  const local: Step = { network: 'local', build };
  return networks.global === networks.local ? [local] : [{ step: 'global', network: 'global', build }, local];
}

export interface ActRequest {
  idempotencyKey: string;
  /** Canonical method, route and body: the same for a retry, another for another request. Its HMAC is stored. */
  fingerprint: Buffer | string;
  /** Operation type as the API shows it, e.g. "query". */
  type: string;
  /** In order. The one without `step` (else the last) is the operation the caller gets; the others are its children. */
  steps: Step[];
  /**
   * Nothing that `build` does depends on whether the act was asked for before: then that is found when it is stored, and needn't be asked
   * beforehand. `build` is called for a replay, too.
   */
  buildsAlike?: true;
  /** Written in the commit that stores the operations. Also not called for a replay. `requestIds` are in the order of `steps`. */
  inSameCommit?(manager: EntityManager, requestIds: Buffer[]): Promise<void>;
}

/** Canonical text of a parsed request for `ActRequest.fingerprint`: key order doesn't matter. */
export function fingerprintOf(method: string, route: string, body: unknown): string {
  return `${method} ${route}\n${JSON.stringify(sorted(body)) ?? ''}`;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, child]) => [key, sorted(child)]),
  );
}
