import { Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { Route } from '../http/route.decorator.js';
import { type SignerBody, signerListSchema, signerNumber, signerSchema } from './signers.schema.js';
import { SignersService } from './signers.service.js';

@ApiTags('admin')
@Controller('v1/admin/signers')
export class SignersController {
  constructor(private readonly signers: SignersService) {}

  @Get()
  @Route({ summary: 'The signers of transactions', roles: ['admin', 'auditor'], success: { 200: signerListSchema } })
  async list(): Promise<{ items: SignerBody[] }> {
    return { items: await this.signers.list() };
  }

  @Post(':id/pause')
  @HttpCode(200)
  @Route({
    summary: 'Stop a signer from signing',
    description: 'Acts are still accepted and wait. What is signed already is sent.',
    roles: ['admin'],
    success: { 200: signerSchema },
    problems: ['CONFLICT'],
  })
  pause(@Param('id', { schema: signerNumber }) id: number): Promise<SignerBody> {
    return this.signers.setPaused(id, true);
  }

  @Post(':id/resumption')
  @HttpCode(200)
  @Route({
    summary: 'Let a paused signer go on',
    roles: ['admin'],
    success: { 200: signerSchema },
    problems: ['CONFLICT'],
  })
  resume(@Param('id', { schema: signerNumber }) id: number): Promise<SignerBody> {
    return this.signers.setPaused(id, false);
  }
}
