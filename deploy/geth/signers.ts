import { ipcCall } from './ipc.js';

/** Who may seal a Clique network, and what a node proposes. Addresses 0x-hex, lower case. */
export interface Signers {
  signers: string[];
  /** of this node: for whom each block it seals carries a vote, until it is taken back or the node's process ends */
  proposals: Record<string, 'in' | 'out'>;
}

/** @throws RpcError for a node that doesn't run Clique */
export async function signersOf(ipcPath: string): Promise<Signers> {
  const [signers, proposals] = await Promise.all([
    ipcCall<string[]>(ipcPath, 'clique_getSigners'),
    ipcCall<Record<string, boolean>>(ipcPath, 'clique_proposals'),
  ]);
  return {
    signers: signers.map((signer) => signer.toLowerCase()),
    proposals: Object.fromEntries(
      Object.entries(proposals).map(([address, admit]) => [address.toLowerCase(), admit ? 'in' : 'out']),
    ),
  };
}

const LOOK_MS = 200;

/**
 * Has this node vote for letting a signer in or out with the blocks it seals (EIP-225): more than half of all signers must, and each
 * vote needs a block of its voter. Once it is decided the proposal is taken back, or it would speak again when others think anew.
 * @returns whether it was decided in that time; if not, the proposal stands
 */
export async function voteSigner(
  ipcPath: string,
  address: string,
  what: 'in' | 'out',
  timeoutMs: number,
): Promise<boolean> {
  await ipcCall(ipcPath, 'clique_propose', [address, what === 'in']);
  for (const deadline = Date.now() + timeoutMs; ; ) {
    const { signers } = await signersOf(ipcPath);
    if (signers.includes(address.toLowerCase()) === (what === 'in')) {
      await ipcCall(ipcPath, 'clique_discard', [address]);
      return true;
    }
    if (Date.now() > deadline) return false;
    await new Promise((wake) => setTimeout(wake, LOOK_MS));
  }
}
