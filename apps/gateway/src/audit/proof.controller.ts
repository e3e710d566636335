import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { bytesOf, hash32 } from '../http/fields.js';
import { Route } from '../http/route.decorator.js';
import { eventId } from './audit.schema.js';
import { type HistoryProof, type HistoryQuery, historyProofSchema, historyQuery } from './history.schema.js';
import { HistoryService } from './history.service.js';
import { type EventProof, eventProofSchema, type ProofQuery, proofQuery } from './proof.schema.js';
import { ProofService } from './proof.service.js';

@ApiTags('audit')
@Controller('v1')
export class ProofController {
  constructor(
    private readonly proofs: ProofService,
    private readonly histories: HistoryService,
  ) {}

  @Get('audit/events/:id/proof')
  @Route({
    summary: 'A proof that an act is on record, for `emr-verify proof`',
    look: 'audit',
    description:
      'Verifies offline, against a block hash and a ledger address that you have from elsewhere. The receipt shows every act of its transaction, ' +
      "others' too: for auditors. Keep the answer as it is, byte for byte.",
    roles: ['auditor', 'privacy-officer'],
    success: { 200: eventProofSchema },
    problems: ['NOT_FOUND', 'CONFLICT', 'CHAIN_UNAVAILABLE'],
  })
  event(
    @CurrentCaller() caller: Caller,
    @Param('id', { schema: eventId }) id: string,
    @Query({ schema: proofQuery }) query: ProofQuery,
  ): Promise<EventProof> {
    return this.proofs.proofOf(caller, id, query);
  }

  @Get('emrs/:id/history-proof')
  @Route({
    summary: "A proof of a record's whole history, for `emr-verify history`",
    look: 'audit',
    description:
      "Every act on the record that is final, allowed and denied, chained to the count and the head that the ledger's storage holds for it at that block: " +
      'nothing can be left out or added. It shows no act on any other record. Keep the answer as it is, byte for byte.',
    roles: ['patient', 'auditor', 'privacy-officer'],
    success: { 200: historyProofSchema },
    problems: ['NOT_FOUND', 'CONFLICT', 'CHAIN_UNAVAILABLE'],
  })
  history(
    @CurrentCaller() caller: Caller,
    @Param('id', { schema: hash32 }) id: string,
    @Query({ schema: historyQuery }) query: HistoryQuery,
  ): Promise<HistoryProof> {
    return this.histories.proofOf(caller, bytesOf(id), query);
  }
}
