import { Module } from '@nestjs/common';
import { AnchorsModule } from './anchors/anchors.module.js';
import { AuditModule } from './audit/audit.module.js';
import { ContentsModule } from './contents/contents.module.js';
import { DisclosuresModule } from './disclosures/disclosures.module.js';
import { EmrsModule } from './emrs/emrs.module.js';
import { GrantsModule } from './grants/grants.module.js';
import { QueriesModule } from './queries/queries.module.js';
import { RelationsModule } from './relations/relations.module.js';
import { TransfersModule } from './transfers/transfers.module.js';

/** One line per feature. */
@Module({
  imports: [
    ContentsModule,
    EmrsModule,
    RelationsModule,
    QueriesModule,
    GrantsModule,
    TransfersModule,
    AuditModule,
    DisclosuresModule,
    AnchorsModule,
  ],
})
export class FeaturesModule {}
