import type { Scenario } from '../run.js';
import { kills } from './kills.js';
import { nodes } from './nodes.js';
import { rpc } from './rpc.js';
import { signer } from './signer.js';
import { rerun, stores } from './stores.js';
import { webhook } from './webhook.js';

/** All scenarios, in the order a campaign takes them. */
export const scenarios: Scenario[] = [...kills, ...rpc, ...nodes, ...stores, rerun, ...signer, webhook];
