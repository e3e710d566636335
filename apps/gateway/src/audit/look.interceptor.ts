import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { concatMap, type Observable } from 'rxjs';
import { AccessLog } from './access-log.service.js';
import type { PlainLook } from './look.js';

/** Logs a plain look once its answer is made and before it leaves, with the parameters of the route: ids and numbers, which passed its schemas. */
@Injectable()
export class LookInterceptor implements NestInterceptor {
  constructor(private readonly accessLog: AccessLog) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const { caller, params } = request;
    const kind = request.routeOptions.config.look as PlainLook;
    return next.handle().pipe(
      concatMap(async (answer: unknown) => {
        if (caller) await this.accessLog.record(caller, { kind, detail: { ...(params as object) } });
        return answer;
      }),
    );
  }
}
