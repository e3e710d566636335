import type { RunningHospital } from '../deploy/local/stack.js';
import { ChainReader } from '../libs/chain-client/src/rpc/reader.js';
import { connectRpc } from '../libs/chain-client/src/rpc/transport.js';
import { decodeEvent, isSequenced } from '../libs/contracts/src/event.codec.js';
import { toHex } from '../libs/platform/src/bytes.js';
import { networkOf, readNetworks } from '../libs/platform/src/networks.js';

const PAGE = 500n;

/** How often each request id (0x-hex) has an effect or a refusal on the local chain: read from the node, not from the code under test. */
export async function effectsOnChain(hospital: RunningHospital): Promise<Map<string, number>> {
  const network = networkOf(readNetworks(hospital.networksFile), 'local');
  const rpc = connectRpc(network.rpc, { timeoutMs: 60_000 });
  try {
    const reader = new ChainReader(rpc);
    const tip = await reader.blockNumber();
    const effects = new Map<string, number>();
    for (let from = network.startBlock; from <= tip; from += PAGE) {
      const to = from + PAGE - 1n < tip ? from + PAGE - 1n : tip;
      for (const log of await reader.logs(network.contract, from, to)) {
        const event = decodeEvent(log);
        // What the deployment itself wrote answers no request: hospital 0.
        if (!event || !isSequenced(event) || event.hospital === 0) continue;
        const id = toHex(event.requestId);
        effects.set(id, (effects.get(id) ?? 0) + 1);
      }
    }
    return effects;
  } finally {
    await rpc.close();
  }
}
