import { isUtf8 } from 'node:buffer';
import { ProblemError } from '../../../../libs/platform/src/errors.js';

const FHIR_JSON = 'application/fhir+json';
// RFC 6838: type "/" subtype, each a restricted name.
const NAME = '[a-z0-9][a-z0-9!#$&^_.+-]{0,126}';
const MEDIA_TYPE = new RegExp(`^(${NAME}/${NAME})(?:\\s*;.*)?$`);

/**
 * The media type a content is kept under: the type itself, lower case. Parameters are dropped, except that a charset other than
 * UTF-8 of FHIR JSON is refused.
 * @throws ProblemError UNSUPPORTED_MEDIA_TYPE when it is absent, ill-formed, or of many parts (a boundary would be lost)
 */
export function parseMediaType(header: string | undefined): string {
  const text = (header ?? '').trim().toLowerCase();
  const type = MEDIA_TYPE.exec(text)?.[1];
  if (!type || text.length > 255 || type.startsWith('multipart/')) {
    throw new ProblemError('UNSUPPORTED_MEDIA_TYPE', {
      detail: 'Name the content in Content-Type, for example application/fhir+json or image/png.',
    });
  }
  const charset = /;\s*charset\s*=\s*"?([^";\s]*)/.exec(text)?.[1];
  if (type === FHIR_JSON && charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') {
    throw new ProblemError('UNSUPPORTED_MEDIA_TYPE', { detail: 'FHIR JSON is UTF-8.' });
  }
  return type;
}

/**
 * Checks what the media type promises: FHIR R4 JSON is UTF-8, a JSON object, and says its resourceType (FHIR R4 §2.6.2).
 * The bytes themselves are kept as received. Messages never quote the content.
 * @throws ProblemError INVALID_INPUT
 */
export function checkContent(mediaType: string, bytes: Buffer): void {
  if (bytes.length === 0) throw invalid('', 'content is empty');
  if (mediaType !== FHIR_JSON) return;
  if (!isUtf8(bytes)) throw invalid('', 'not valid UTF-8');
  let resource: unknown;
  try {
    resource = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw invalid('', 'not valid JSON'); // the parser's own message quotes the content
  }
  if (typeof resource !== 'object' || resource === null || Array.isArray(resource)) {
    throw invalid('', 'a FHIR resource is a JSON object');
  }
  const { resourceType } = resource as { resourceType?: unknown };
  if (typeof resourceType !== 'string' || !/^[A-Z][A-Za-z]{1,63}$/.test(resourceType)) {
    throw invalid('/resourceType', 'the name of a FHIR resource type is needed, such as "Bundle"');
  }
}

function invalid(pointer: string, message: string): ProblemError {
  return new ProblemError('INVALID_INPUT', { errors: [{ pointer, message }] });
}
