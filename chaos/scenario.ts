import type { Dice } from './dice.js';
import type { Allowances } from './oracle/judge.js';
import type { Fate, Message } from './proxy/fates.js';
import type { NetworkKind } from './stack/layout.js';
import type { ProgramName } from './stack/programs.js';

export type QueueKind = 'postgres' | 'redis';

/** One way to make trouble. What it does follows from the run's dice alone; when things happen follows from the machine too. */
export interface ScenarioOf<Run> {
  name: string;
  /** one line for `--help` and the report */
  about: string;
  /** rows of the failure matrix (docs/failure-matrix.md) its faults count for, unless a fault names its own */
  rows: number[];
  /** default `instant` */
  kind?: NetworkKind;
  /** `external`: the relayer's key is held by a signer that is asked over JSON-RPC (default `keystore`) */
  signer?: 'keystore' | 'external';
  /** where it needs one of the two; else the run's dice choose */
  queue?: QueueKind;
  /** how long load is offered at least, seconds (default 8) */
  seconds?: number;
  /** default 6 */
  clients?: number;
  /** share of acts that the ledger denies, percent (default 8) */
  refused?: number;
  /** acts may end as failed, and the client takes that for an answer */
  mayFail?: boolean;
  allow?: Allowances;
  /** FAILPOINT of each start of a program; undefined: none */
  failpoint?(name: ProgramName, dice: Dice): string | undefined;
  /** how long a program that stopped itself stays so, ms from and to (default 500 to 4,500) */
  stopMs?: [number, number];
  /** what becomes of a message between a program and the node */
  fate?(message: Message, front: string, dice: Dice): Fate;
  /** makes trouble from outside while load is offered; the run goes on until it returns */
  inject?(run: Run): Promise<void>;
  /** when the load has ended and everything runs again, before the verdict */
  afterwards?(run: Run): Promise<void>;
}
