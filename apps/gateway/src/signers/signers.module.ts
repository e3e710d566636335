import { Module } from '@nestjs/common';
import { SignerActionsStore } from './signer-actions.store.js';
import { SignersController } from './signers.controller.js';
import { SignersService } from './signers.service.js';
import { SignersStore } from './signers.store.js';

@Module({
  controllers: [SignersController],
  providers: [SignersService, SignersStore, SignerActionsStore],
  exports: [SignersService],
})
export class SignersModule {}
