import { z } from 'zod';
import { fromHex } from '../../../../libs/platform/src/bytes.js';

const hex = (length: number) =>
  z.string().regex(new RegExp(`^0x[0-9a-fA-F]{${length * 2}}$`), `0x and ${length * 2} hex digits`);

/** 32-byte id or hash in a body or path, as hex; parsed with `bytesOf`. */
export const hash32 = hex(32).meta({ example: `0x${'1a'.repeat(32)}` });
/** 20-byte address. */
export const address20 = hex(20).meta({ example: `0x${'2b'.repeat(20)}` });
/** RFC 3339 UTC with milliseconds. */
export const instant = z.string().meta({ format: 'date-time', example: '2026-03-01T09:30:00.000Z' });
/** Chain integer as a decimal string. */
export const chainInteger = z.string().regex(/^\d+$/).meta({ example: '812' });

/** Buffer of a value that `hash32` or `address20` accepted. */
export function bytesOf(value: string): Buffer {
  return fromHex(value);
}

/** RFC 3339 of block time (unix seconds) or of a date from Postgres. */
export function toInstant(time: Date | bigint | number | string): string {
  return (time instanceof Date ? time : new Date(Number(time) * 1000)).toISOString();
}
