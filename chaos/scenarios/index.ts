import type { Scenario } from '../scenario.js';
import { kills } from './kills.js';
import { rpc } from './rpc.js';

/** All scenarios, in the order a campaign takes them. */
export const scenarios: Scenario[] = [...kills, ...rpc];
