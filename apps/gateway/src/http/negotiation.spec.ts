import { describe, expect, it } from 'vitest';
import { accepts, takes } from './negotiation.js';

describe('Accept', () => {
  it('lets JSON through under any range that covers it', () => {
    for (const header of [
      undefined,
      '',
      '*/*',
      'application/*',
      'text/html, */*;q=0.1',
      'application/json; charset=utf-8',
    ]) {
      expect(accepts(header, [])).toBe(true);
    }
  });

  it('is not satisfied by what the route does not serve, or what the client refuses', () => {
    for (const header of ['text/html', 'application/json;q=0', 'image/*']) expect(accepts(header, [])).toBe(false);
    expect(accepts('text/event-stream', ['text/event-stream'])).toBe(true);
  });
});

describe('Content-Type', () => {
  it('is JSON in UTF-8', () => {
    for (const header of ['application/json', 'Application/JSON; charset="UTF-8"'])
      expect(takes(header, undefined)).toBe(true);
    for (const header of [
      undefined,
      '',
      'text/plain',
      'application/json; charset=latin1',
      'application/x-www-form-urlencoded',
    ]) {
      expect(takes(header, undefined)).toBe(false);
    }
  });

  it('is anything but a form where content is uploaded', () => {
    expect(takes('application/fhir+json', ['*'])).toBe(true);
    for (const header of [
      'multipart/form-data; boundary=x',
      'application/x-www-form-urlencoded',
      undefined,
      'nonsense',
    ]) {
      expect(takes(header, ['*'])).toBe(false);
    }
  });
});
