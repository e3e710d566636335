import { z } from 'zod';
import { chainInteger, hash32, instant } from '../http/fields.js';

const incidentSchema = z
  .object({
    kind: z
      .enum(['fold', 'block', 'access-log'])
      .describe(
        "fold: its events don't lead from one anchored head to the next. block: the anchored block isn't in its chain. access-log: its access log isn't the one it anchored; only the hospital itself can tell.",
      ),
    hospital: z.int().meta({ example: 2 }),
    block: chainInteger.describe("Of the hospital's own network."),
    sequence: chainInteger.describe("Of the hospital's own ledger: up to where its history was anchored."),
    anchor: z.string().meta({ example: 'ev_global_57' }).describe('Event of the anchor that it is held against.'),
    anchored: hash32.describe('Head (fold, access-log) or block hash (block), as anchored.'),
    found: hash32.nullable().describe('The same, as the hospital shows it; null: nothing.'),
    detail: z.string(),
    since: instant,
  })
  .meta({ id: 'AnchorIncident' });

export const anchoredLedgerSchema = z
  .object({
    hospital: z.int().meta({ example: 2 }),
    chainId: chainInteger.describe("Of the hospital's own network."),
    state: z
      .enum(['own', 'verified', 'waiting', 'broken'])
      .describe(
        'own: this hospital. verified: the events behind each anchor lead to it. waiting: some are still to be asked for. broken: see incidents.',
      ),
    lastAnchor: z.object({
      event: z.string().meta({ example: 'ev_global_57' }),
      time: instant,
      block: chainInteger,
      blockHash: hash32,
      sequence: chainInteger,
      head: hash32,
      accessSequence: chainInteger.describe('Entries of its access log, by then.'),
      accessHead: hash32,
    }),
    verifiedThrough: z
      .object({ block: chainInteger, sequence: chainInteger })
      .nullable()
      .describe('The last anchor whose events were folded here; null before the first, and for this hospital itself.'),
    answeredAt: instant.nullable().describe('When the hospital last gave what was asked of it.'),
    problem: z.string().nullable().describe('Why it gave no answer since, if so.'),
    incidents: z.array(incidentSchema),
  })
  .meta({ id: 'AnchoredLedger' });
export type AnchoredLedger = z.output<typeof anchoredLedgerSchema>;
