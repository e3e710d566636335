import { Module } from '@nestjs/common';

/** One line per feature. */
@Module({
  imports: [],
})
export class FeaturesModule {}
