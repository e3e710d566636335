import { signDigest } from '../../../../libs/chain-client/src/keys/secp256k1.js';
import type { NewOperation } from '../../../../libs/chain-client/src/submission/operation.types.js';
import { domainSeparator, intentDigest } from '../../../../libs/contracts/src/intent.codec.js';
import { keccak256 } from '../../../../libs/platform/src/keccak.js';
import type { NetworkConfig } from '../../../../libs/platform/src/networks.js';

/** As for acts that people ask for: outlives every retry. */
const DEADLINE_SECONDS = 7 * 24 * 3600;
const ZERO_32 = Buffer.alloc(32);

export interface UnattendedIntent {
  requestId: Buffer;
  /** As the API names it, e.g. "transfer-propose". */
  type: string;
  /** An `Operation` code of libs/contracts. */
  code: number;
  /** 32 bytes; zeros for acts without a record. */
  recordId: Buffer;
  parameters: Buffer;
  /** Whose operation it is shown as; null: nobody's. */
  principal: Buffer | null;
  /** Commitment to the token of the request that this act follows from, and that request's operation. */
  cause?: { operationId?: string; authContext: Buffer } | undefined;
}

/** An act of the gateway's own accord, without a token at hand, signed with a key that it keeps. */
export function unattendedAct(
  { name, chainId, contract }: NetworkConfig,
  signer: { address: Buffer; key: Buffer },
  intent: UnattendedIntent,
): NewOperation {
  const { requestId, type, code, recordId, parameters } = intent;
  const deadline = Math.floor(Date.now() / 1000) + DEADLINE_SECONDS;
  const authContext = intent.cause?.authContext ?? ZERO_32;
  const actor = signer.address;
  const unsigned = { operation: code, requestId, recordId, parameters, actor, deadline, authContext };
  return {
    network: name,
    requestId,
    // Not of a request's body: what identifies such an act is its id alone.
    bodyHash: keccak256(requestId),
    principal: intent.principal ?? ZERO_32,
    type,
    code,
    actor,
    recordId,
    parameters,
    deadline,
    authContext,
    signature: signDigest(signer.key, intentDigest(domainSeparator(chainId, contract), unsigned)),
    parentId: intent.cause?.operationId ?? null,
  };
}
