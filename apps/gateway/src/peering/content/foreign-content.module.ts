import { Module } from '@nestjs/common';
import { ContentsModule } from '../../contents/contents.module.js';
import { ForeignContents } from '../../queries/foreign-contents.js';
import { PeeringModule } from '../peering.module.js';
import { ContentPeer } from './content.peer.js';
import { ForeignLookStore } from './foreign-look.store.js';
import { PeerContents } from './peer-contents.service.js';

/** Content across hospitals: what others keep (`ForeignContents`), and what others may have of this one. */
@Module({
  imports: [ContentsModule, PeeringModule],
  providers: [ContentPeer, ForeignLookStore, { provide: ForeignContents, useClass: PeerContents }],
  exports: [ForeignContents],
})
export class ForeignContentModule {}
