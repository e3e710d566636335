import { Module } from '@nestjs/common';
import { EmrsModule } from '../emrs/emrs.module.js';
import { AccessesService } from './accesses.service.js';
import { AccessesStore } from './accesses.store.js';
import { DisclosuresController } from './disclosures.controller.js';
import { DisclosuresService } from './disclosures.service.js';
import { DisclosuresStore } from './disclosures.store.js';
import { StaffIdentity } from './staff.service.js';

/** What a patient may know of who saw their records: accounting of disclosures, and every look. */
@Module({
  imports: [EmrsModule],
  controllers: [DisclosuresController],
  providers: [DisclosuresService, DisclosuresStore, AccessesService, AccessesStore, StaffIdentity],
})
export class DisclosuresModule {}
