import { Body, Controller, Headers, HttpCode, Post } from '@nestjs/common';
import { ApiHeader, ApiTags } from '@nestjs/swagger';
import { type Caller, CurrentCaller } from '../auth/caller.js';
import { IdempotencyKey } from '../http/request-headers.js';
import { Route } from '../http/route.decorator.js';
import { type Content, contentSchema } from './contents.schema.js';
import { ContentsService } from './contents.service.js';

@ApiTags('contents')
@Controller('v1/contents')
export class ContentsController {
  constructor(private readonly contents: ContentsService) {}

  @Post()
  @HttpCode(201)
  @Route({
    summary: 'Upload content, raw, to be cited by an open or an amend',
    description:
      'Any media type; bytes are kept as received. `application/fhir+json` must be a FHIR R4 resource. Expires in an hour unless cited.',
    roles: ['clinician', 'records-officer', 'privacy-officer'],
    success: { 201: contentSchema },
    rawBody: ['application/fhir+json', '*'],
    problems: ['IDEMPOTENCY_KEY_MISSING', 'IDEMPOTENCY_MISMATCH', 'PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'],
  })
  @ApiHeader({
    name: 'Idempotency-Key',
    required: true,
    description: 'New for each upload, the same for each retry.',
    schema: { type: 'string', minLength: 1, maxLength: 128, pattern: '^[\\x21-\\x7e]+$', example: 'upload-1' },
  })
  upload(
    @CurrentCaller() caller: Caller,
    @IdempotencyKey() key: string,
    @Headers('content-type') contentType: string | undefined,
    @Body() body: Buffer | undefined,
  ): Promise<Content> {
    return this.contents.upload(caller, key, contentType, Buffer.isBuffer(body) ? body : Buffer.alloc(0));
  }
}
