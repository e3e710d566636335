import { createFailpoint as create } from '../../../platform/src/failpoint.js';

/** Where a chaos run may end the process: each stands between two steps of the write path that must not depend on one another. */
export type FailpointName =
  | 'before-accept-commit'
  | 'after-accept-commit'
  | 'after-assignment-commit'
  | 'before-attempt-commit'
  | 'after-attempt-commit'
  | 'after-send'
  | 'after-sent-recorded';

export type Failpoint = (name: FailpointName) => void;

/** @param spec see libs/platform/src/failpoint.ts */
export function createFailpoint(spec: string | undefined): Failpoint {
  return create<FailpointName>(spec);
}
