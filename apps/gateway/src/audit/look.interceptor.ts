import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { catchError, concatMap, type Observable } from 'rxjs';
import { fromHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { Caller } from '../auth/caller.js';
import { AccessLog } from './access-log.service.js';
import { isPlainLook, type LookKind } from './look.js';

/** Routes of one record: their `id` is its. */
const OF_A_RECORD = /^\/v1\/emrs\/:id(\/|$)/;

/**
 * Logs what features leave to it, with the parameters of the route: ids and numbers, which passed its schemas. Plain looks once their answer is
 * made and before it leaves; and of every look the one that found nothing, or nothing for the caller to see: whoever tries what isn't theirs
 * shows in the log as well.
 */
@Injectable()
export class LookInterceptor implements NestInterceptor {
  constructor(private readonly accessLog: AccessLog) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const { caller } = request;
    const kind = request.routeOptions.config.look;
    if (!caller || kind === undefined) return next.handle();
    return next.handle().pipe(
      catchError(async (error: unknown) => {
        if (error instanceof ProblemError && error.code === 'NOT_FOUND') await this.#refused(caller, kind, request);
        throw error;
      }),
      concatMap(async (answer: unknown) => {
        if (isPlainLook(kind)) await this.accessLog.record(caller, { kind, detail: paramsOf(request) });
        return answer;
      }),
    );
  }

  #refused(caller: Caller, kind: LookKind, request: FastifyRequest): Promise<void> {
    const { id, ...others } = paramsOf(request);
    const ofRecord = OF_A_RECORD.test(request.routeOptions.url ?? '') && id !== undefined;
    return this.accessLog.record(caller, {
      // Nothing was released: it is a look at how the query stands.
      kind: kind === 'release' ? 'query' : kind,
      ...(ofRecord ? { recordId: fromHex(id) } : {}),
      detail: { ...(ofRecord || id === undefined ? {} : { id }), ...others, refused: true },
    });
  }
}

function paramsOf({ params }: FastifyRequest): Record<string, string> {
  return { ...(params as Record<string, string>) };
}
