import { Body, Controller, Get, HttpCode, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { Route } from '../http/route.decorator.js';
import {
  type BumpRequest,
  bumpRequestSchema,
  type NoopRequest,
  noopRequestSchema,
  type ReleaseRequest,
  releaseRequestSchema,
  type SignerActionQuery,
  type SignerBody,
  type SignerTransactionBody,
  signerActionPageSchema,
  signerActionQuery,
  signerListSchema,
  signerNonce,
  signerNumber,
  signerSchema,
  signerTransactionListSchema,
  signerTransactionSchema,
} from './signers.schema.js';
import { SignersService } from './signers.service.js';

@ApiTags('admin')
@Controller('v1/admin/signers')
export class SignersController {
  constructor(private readonly signers: SignersService) {}

  @Get()
  @Route({
    summary: 'The signers of transactions',
    look: 'signers',
    roles: ['admin', 'auditor'],
    success: { 200: signerListSchema },
  })
  async list(): Promise<{ items: SignerBody[] }> {
    return { items: await this.signers.list() };
  }

  @Get('actions')
  @Route({
    summary: 'What operators did to signers, newest first',
    look: 'signers',
    description: 'Also what was refused. Rows are only ever added.',
    roles: ['admin', 'auditor'],
    success: { 200: signerActionPageSchema },
    problems: ['INVALID_CURSOR'],
  })
  actions(
    @Query({ schema: signerActionQuery }) query: SignerActionQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.signers.listActions(query, { request, reply });
  }

  @Post(':id/pause')
  @HttpCode(200)
  @Route({
    summary: 'Stop a signer from signing',
    description:
      'Acts are still accepted and wait. What is signed already is sent. It stays so until somebody resumes it.',
    roles: ['admin'],
    success: { 200: signerSchema },
    problems: ['CONFLICT'],
  })
  pause(@CurrentCaller() caller: Caller, @Param('id', { schema: signerNumber }) id: number): Promise<SignerBody> {
    return this.signers.setPaused(caller, id, true);
  }

  @Post(':id/resumption')
  @HttpCode(200)
  @Route({
    summary: 'Let a paused signer go on',
    roles: ['admin'],
    success: { 200: signerSchema },
    problems: ['CONFLICT'],
  })
  resume(@CurrentCaller() caller: Caller, @Param('id', { schema: signerNumber }) id: number): Promise<SignerBody> {
    return this.signers.setPaused(caller, id, false);
  }

  @Post(':id/release')
  @HttpCode(200)
  @Route({
    summary: 'Let a quarantined signer go on from where the chain is',
    description:
      'Only once the cause is known and ended. Transactions whose nonces were used by other bytes are lost; their acts ride again, each with ' +
      'one effect. Refused while mirror and node do not tell the same.',
    roles: ['admin'],
    success: { 200: signerSchema },
    problems: ['CONFLICT', 'CHAIN_UNAVAILABLE'],
  })
  release(
    @CurrentCaller() caller: Caller,
    @Param('id', { schema: signerNumber }) id: number,
    @Body({ schema: releaseRequestSchema }) body: ReleaseRequest,
  ): Promise<SignerBody> {
    return this.signers.release(caller, id, body);
  }

  @Get(':id/transactions')
  @Route({
    summary: "A signer's transactions that aren't final, lowest nonce first",
    look: 'signers',
    description: 'At most 200. The first is what all others wait for.',
    roles: ['admin', 'auditor'],
    success: { 200: signerTransactionListSchema },
  })
  async transactions(@Param('id', { schema: signerNumber }) id: number): Promise<{ items: SignerTransactionBody[] }> {
    return { items: await this.signers.openTransactions(id) };
  }

  @Get(':id/transactions/:nonce')
  @Route({
    summary: 'What a nonce was bound to, and what became of it',
    look: 'signers',
    roles: ['admin', 'auditor'],
    success: { 200: signerTransactionSchema },
  })
  transaction(
    @Param('id', { schema: signerNumber }) id: number,
    @Param('nonce', { schema: signerNonce }) nonce: number,
  ): Promise<SignerTransactionBody> {
    return this.signers.transaction(id, nonce);
  }

  @Post(':id/transactions/:nonce/noop')
  @HttpCode(200)
  @Route({
    summary: 'Use a nonce up without effect',
    description:
      'Sends nothing, to the signer itself, in place of the transaction. What is mined decides: if it is the NOOP, the acts ride again under ' +
      'another nonce, and those under `withdraw` end cancelled; if it is the transaction, its acts are done. Asked again, the same bytes are sent.',
    roles: ['admin'],
    success: { 200: signerTransactionSchema },
    problems: ['CONFLICT', 'CHAIN_UNAVAILABLE'],
  })
  noop(
    @CurrentCaller() caller: Caller,
    @Param('id', { schema: signerNumber }) signer: number,
    @Param('nonce', { schema: signerNonce }) nonce: number,
    @Body({ schema: noopRequestSchema }) body: NoopRequest,
  ): Promise<SignerTransactionBody> {
    return this.signers.replace(caller, { signer, nonce }, 'noop', body);
  }

  @Post(':id/transactions/:nonce/bump')
  @HttpCode(200)
  @Route({
    summary: 'Offer more for a transaction that is in the pool',
    description: 'The same content at a higher price. Both are known from then on, and whichever is mined counts.',
    roles: ['admin'],
    success: { 200: signerTransactionSchema },
    problems: ['CONFLICT', 'CHAIN_UNAVAILABLE'],
  })
  bump(
    @CurrentCaller() caller: Caller,
    @Param('id', { schema: signerNumber }) signer: number,
    @Param('nonce', { schema: signerNonce }) nonce: number,
    @Body({ schema: bumpRequestSchema }) body: BumpRequest,
  ): Promise<SignerTransactionBody> {
    return this.signers.replace(caller, { signer, nonce }, 'bump', body);
  }
}
