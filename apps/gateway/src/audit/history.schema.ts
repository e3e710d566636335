import { z } from 'zod';
import { address20, hash32 } from '../http/fields.js';
import { blockPoint, hexBytes } from './proof.schema.js';

export const historyQuery = z.strictObject({
  network: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,31}$/)
    .optional()
    .meta({ example: 'local', description: 'The ledger whose history of the record it is. Default: the local one.' }),
});
export type HistoryQuery = z.output<typeof historyQuery>;

const nodes = z.array(hexBytes);

/** What `emr-verify history` reads: the events of one record and nothing of any other. */
export const historyProofSchema = z
  .object({
    format: z.literal('emr-history/1'),
    contract: address20,
    recordId: hash32,
    events: z
      .array(z.object({ topics: z.array(hash32), data: hexBytes }))
      .describe('All of the record, from its first.'),
    header: hexBytes.describe('RLP of the header of the block at which the history is whole.'),
    account: nodes.describe("RLP of the state trie's nodes down to the contract."),
    sequence: nodes.describe("RLP of the storage trie's nodes down to how many events the record has."),
    head: nodes.describe("RLP of the storage trie's nodes down to the record's head."),
    checkpoint: blockPoint,
  })
  .meta({ id: 'HistoryProof' });
export type HistoryProof = z.output<typeof historyProofSchema>;
