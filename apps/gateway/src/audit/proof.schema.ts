import { z } from 'zod';
import { address20, chainInteger, hash32 } from '../http/fields.js';

/** Bytes of any number as hex in lower case: what `emr-verify` takes has one spelling only. */
export const hexBytes = z
  .string()
  .regex(/^0x([0-9a-f]{2})*$/)
  .meta({ example: '0xf901' });
const point = z.object({ sequence: chainInteger, head: hash32 });
const headers = z.array(hexBytes).describe('RLP of block headers, each the parent of the next.');
/** A block whose hash, where somebody has it from elsewhere, is all that needs to be trusted. */
export const blockPoint = z
  .object({ number: chainInteger, hash: hash32 })
  .describe('The block that this is proven for. Who has its hash from elsewhere needs to trust nothing here.');

export const proofQuery = z.strictObject({
  through: chainInteger
    .optional()
    .describe(
      'Block whose hash you hold, to end the headers with. Default: the next checkpoint, else the last final block.',
    ),
});
export type ProofQuery = z.output<typeof proofQuery>;

/** What `emr-verify proof` reads. Each byte of it follows from others or from what is trusted: nothing is in it that isn't proven. */
export const eventProofSchema = z
  .object({
    format: z.literal('emr-proof/1'),
    contract: address20,
    event: z.object({ sequence: chainInteger, topics: z.array(hash32), data: hexBytes }),
    receipt: z.object({
      index: chainInteger.describe('Position of the transaction in its block.'),
      rlp: hexBytes.describe('The receipt as the receipts trie holds it, with all events of its transaction.'),
    }),
    path: z.array(hexBytes).describe("RLP of the receipts trie's nodes, from the root down."),
    previous: point.describe('The ledger before the transaction.'),
    reached: point.describe('The ledger after it, as its Head event says.'),
    headers,
    checkpoint: blockPoint,
  })
  .meta({ id: 'EventProof' });
export type EventProof = z.output<typeof eventProofSchema>;
