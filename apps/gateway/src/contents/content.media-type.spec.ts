import { describe, expect, it } from 'vitest';
import { checkContent, parseMediaType } from './content.media-type.js';

describe('media type of a content', () => {
  it.each([
    ['application/fhir+json', 'application/fhir+json'],
    ['Application/FHIR+JSON; charset=UTF-8; fhirVersion=4.0', 'application/fhir+json'],
    ['image/png', 'image/png'],
    ['application/octet-stream', 'application/octet-stream'],
  ])('reads %s as %s', (header, type) => expect(parseMediaType(header)).toBe(type));

  it.each([
    undefined,
    '',
    'json',
    'a/b/c',
    'text/',
    '/plain',
    'te xt/plain',
    'multipart/form-data; boundary=x',
    'text/pl\nain',
    `a/${'b'.repeat(300)}`,
  ])('refuses %s', (header) =>
    expect(() => parseMediaType(header)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_MEDIA_TYPE' })),
  );

  it('refuses FHIR JSON in another charset', () => {
    expect(() => parseMediaType('application/fhir+json; charset=latin1')).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_MEDIA_TYPE' }),
    );
  });
});

describe('content check', () => {
  const fhir = (text: string | Buffer) => () => checkContent('application/fhir+json', Buffer.from(text));

  it('takes a FHIR resource', () => expect(fhir('{"resourceType":"Bundle"}')).not.toThrow());
  it('takes any other bytes under any other type', () => {
    expect(() => checkContent('image/png', Buffer.of(0xff, 0xfe))).not.toThrow();
  });
  it.each([
    ['nothing', ''],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d])],
    ['no JSON', '{'],
    ['an array', '[]'],
    ['null', 'null'],
    ['no resourceType', '{"id":"1"}'],
    ['a resourceType that is no name', '{"resourceType":"bundle 1"}'],
    ['a resourceType that is no string', '{"resourceType":5}'],
  ])('refuses %s', (_, text) => expect(fhir(text)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' })));
  it('quotes nothing of what it refuses', () => {
    try {
      fhir('{"name":"Canary"')();
    } catch (error) {
      expect(JSON.stringify((error as { options: unknown }).options)).not.toContain('Canary');
    }
  });
});
