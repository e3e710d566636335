import { connectRpc } from '../../libs/chain-client/src/rpc/transport.js';
import type { FollowedChain } from './indexer.js';

/** What a given node serves. @throws Error when it isn't reached, or has no ledger at the address */
export async function chainBehind(given: {
  rpc: string;
  contract: string;
  start: bigint;
  to?: bigint;
}): Promise<{ chain: FollowedChain; to: bigint; client: string }> {
  const rpc = connectRpc(given.rpc, { timeoutMs: 30_000 });
  try {
    const [chainId, genesis, head, code, client] = (await rpc.batch<unknown>([
      { method: 'eth_chainId' },
      { method: 'eth_getBlockByNumber', params: ['0x0', false] },
      { method: 'eth_blockNumber' },
      { method: 'eth_getCode', params: [given.contract, 'latest'] },
      { method: 'web3_clientVersion' },
    ])) as [string, { hash: string }, string, string, string];
    if (code === '0x') throw new Error(`there is no contract at ${given.contract} on this node`);
    const to = given.to ?? BigInt(head);
    if (to > BigInt(head)) throw new Error(`--to ${to} is beyond the node's head, ${BigInt(head)}`);
    if (to < given.start) throw new Error(`--to ${to} is below --start ${given.start}`);
    return {
      chain: {
        ...{ rpcUrl: given.rpc, chainId: BigInt(chainId), genesisHash: genesis.hash, contract: given.contract },
        ...{ startBlock: given.start, finalityDepth: 1 },
      },
      ...{ to, client },
    };
  } finally {
    await rpc.close();
  }
}
