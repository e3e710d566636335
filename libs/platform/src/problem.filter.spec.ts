import { BadRequestException, HttpException, NotFoundException } from '@nestjs/common';
import { describe, expect, it } from 'vitest';
import { catalogue, ProblemError, problemDocument } from './errors.js';
import { createLogger } from './logger.js';
import { toProblem } from './problem.filter.js';

function driverError(code: string, message = 'no'): Error {
  return Object.assign(new Error(message), { name: 'QueryFailedError', code });
}

describe('problems', () => {
  it('are documents with code, type, status and instance, and the details given', () => {
    const problem = new ProblemError('INVALID_INPUT', {
      errors: [{ pointer: '/a', message: 'wrong' }],
      extensions: { reason: 'X' },
    });
    expect(problemDocument(problem, 'req-1')).toMatchObject({
      type: '/problems/invalid-input',
      status: 400,
      instance: 'req-1',
      code: 'INVALID_INPUT',
      reason: 'X',
      errors: [{ pointer: '/a', message: 'wrong' }],
    });
  });

  it('that are worth another try say when', () => {
    for (const code of ['QUEUE_FULL', 'CHAIN_UNAVAILABLE', 'DATABASE_UNAVAILABLE'] as const) {
      expect(catalogue[code].retryable).toBe(true);
      expect(new ProblemError(code).headers['Retry-After']).toBeDefined();
    }
  });

  it('are made of what frameworks and drivers throw', () => {
    const fastifyError = Object.assign(new Error('x'), { code: 'FST_ERR_CTP_BODY_TOO_LARGE', statusCode: 413 });
    expect(toProblem(new HttpException('x', 413, { cause: fastifyError })).code).toBe('PAYLOAD_TOO_LARGE');
    expect(toProblem(new NotFoundException()).code).toBe('NOT_FOUND');
    expect(toProblem(new BadRequestException()).code).toBe('MALFORMED_REQUEST');
    expect(toProblem(new HttpException('x', 418)).code).toBe('MALFORMED_REQUEST');
    for (const code of ['57P01', '57P03', '53300', '53100', '08006', 'ECONNREFUSED']) {
      expect(toProblem(driverError(code)).code).toBe('DATABASE_UNAVAILABLE');
    }
    expect(toProblem(driverError('23505')).code).toBe('INTERNAL');
    expect(toProblem(new Error('Connection terminated unexpectedly')).code).toBe('DATABASE_UNAVAILABLE');
    // As Node makes it: no word of Postgres in its stack.
    const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', syscall: 'connect' });
    refused.stack =
      'Error: connect ECONNREFUSED\n    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16)';
    expect(toProblem(refused).code).toBe('DATABASE_UNAVAILABLE');
    expect(toProblem(Object.assign(new Error('x'), { code: 'ENOENT', syscall: 'open' })).code).toBe('INTERNAL');
    const released = Object.assign(new Error('x'), { name: 'QueryRunnerProviderAlreadyReleasedError' });
    expect(toProblem(released).code).toBe('DATABASE_UNAVAILABLE');
    const rpc = Object.assign(new Error('x', { cause: refused }), { name: 'RpcError', retryable: true });
    expect(toProblem(rpc).code).toBe('CHAIN_UNAVAILABLE');
  });

  it('show nothing of what nobody foresaw', () => {
    const document = problemDocument(toProblem(new Error('patient Jane Doe')), 'req-1');
    expect(document.code).toBe('INTERNAL');
    expect(JSON.stringify(document)).not.toContain('Jane');
  });
});

describe('the logger', () => {
  it('leaves out credentials, bodies and what drivers hang on errors', () => {
    const lines: string[] = [];
    const logger = createLogger('test', 'info', { write: (line) => void lines.push(line) });
    const error = Object.assign(new Error('insert failed'), {
      parameters: ['CANARY'],
      detail: 'CANARY',
      query: 'CANARY',
    });
    logger.error(
      { err: error, headers: { authorization: 'CANARY' }, body: 'CANARY', password: 'CANARY', url: '/x?CANARY' },
      'failed',
    );
    expect(lines.join()).toContain('insert failed');
    expect(lines.join()).not.toContain('CANARY');
  });
});
