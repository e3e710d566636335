import { type ArgumentMetadata, Injectable, type PipeTransform } from '@nestjs/common';
import { type InputError, ProblemError } from '../../../../libs/platform/src/errors.js';

/** More than this many complaints help nobody, and their number is up to the sender. */
const MOST_ERRORS = 20;
const DEEPEST_POINTER = 12;

const prefix: Partial<Record<ArgumentMetadata['type'], string>> = { query: 'query', param: 'path' };

/** Parses every argument that carries a schema, and says where it doesn't fit. Nothing of it is echoed: it may be personal. */
@Injectable()
export class InputPipe implements PipeTransform {
  async transform(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    const { schema } = metadata;
    if (!schema || metadata.type === 'custom') return value;
    const result = await schema['~standard'].validate(value);
    if (!result.issues) return result.value;
    const place = prefix[metadata.type];
    const name = metadata.type === 'param' && metadata.data !== undefined ? [metadata.data] : [];
    const errors = result.issues
      .flatMap(nearest)
      .slice(0, MOST_ERRORS)
      .map((issue): InputError => {
        const path = [...name, ...(issue.path ?? [])]
          .slice(0, DEEPEST_POINTER)
          .map((step) => String(typeof step === 'object' ? step.key : step).slice(0, 64));
        return {
          pointer: place
            ? [place, ...path].join('/')
            : path.map((s) => `/${s.replaceAll('~', '~0').replaceAll('/', '~1')}`).join(''),
          message: messageOf(issue).slice(0, 200),
        };
      });
    throw new ProblemError('INVALID_INPUT', { errors });
  }
}

/** What is unknown here isn't named: the name of a member, too, was made up by the sender, and may be personal. */
function messageOf(issue: Issue): string {
  const { code, keys } = issue as { code?: string; keys?: unknown[] };
  if (code !== 'unrecognized_keys') return issue.message;
  return `${keys?.length === 1 ? 'one member is' : `${keys?.length} members are`} unknown here: names are case-sensitive, see /docs`;
}

type Issue = { message: string; path?: ReadonlyArray<PropertyKey | { key: PropertyKey }> | undefined };

/** For a union, the complaints of the alternative that fits best: "invalid input" helps nobody. */
function nearest(issue: Issue): Issue[] {
  const { errors } = issue as { errors?: Issue[][] };
  if (!Array.isArray(errors) || errors.length === 0) return [issue];
  const fewest = errors.reduce((best, candidate) => (candidate.length < best.length ? candidate : best));
  return fewest.map((inner) => ({ ...inner, path: [...(issue.path ?? []), ...(inner.path ?? [])] }));
}
