interface Described {
  $ref?: string;
  examples?: unknown[];
  example?: unknown;
}
interface Operation {
  'x-roles': string | string[];
  'x-access-log'?: string;
  requestBody?: { content: Record<string, { schema: Described }> };
}

/** A route that shows something, as the OpenAPI document has it. */
export interface DocumentedRead {
  /** method and path */
  name: string;
  method: string;
  path: string;
  roles: string | string[];
  /** the entry it says that it leaves in the access log */
  look: string | undefined;
  /** schema of its body, if it takes one */
  body: Described | undefined;
}

export async function documentedReads(url: string): Promise<DocumentedRead[]> {
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, Operation>>;
    components: { schemas: Record<string, Described> };
  };
  const reads: DocumentedRead[] = [];
  for (const [path, item] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const { 'x-roles': roles, 'x-access-log': look, requestBody } = operation;
      const shows = method === 'get' || path.endsWith('/_search') || look !== undefined;
      if (!shows || roles === 'public') continue;
      const schema = requestBody?.content['application/json']?.schema;
      const body = schema?.$ref === undefined ? schema : document.components.schemas[schema.$ref.split('/').pop()!];
      reads.push({ name: `${method} ${path}`, method, path, roles, look, body });
    }
  }
  return reads;
}

/**
 * The path with a sample in place of each parameter.
 * @param samples by the path through the parameter, such as `/v1/grants/{id}`
 */
export function filledPath(
  { path }: DocumentedRead,
  samples: Readonly<Record<string, string>>,
  change = (sample: string): string => sample,
): string {
  const parts = path.split('/');
  const filled = parts.map((part, index) => {
    if (!part.startsWith('{')) return part;
    const name = parts.slice(0, index + 1).join('/');
    const sample = samples[name];
    if (sample === undefined) throw new Error(`say in "samples" what ${name} is to be called with`);
    return change(sample);
  });
  return filled.join('/');
}

/** The document's own example. */
export function exampleBody({ name, body }: DocumentedRead): unknown {
  const example = body?.examples?.[0] ?? body?.example;
  if (body && example === undefined) throw new Error(`${name} has no example of its body`);
  return example;
}

/** Another value of the shape, behind which there is nothing: of a number, or an event by its number; else of 64 or 32 hex digits. */
export function unknownLike(sample: string): string {
  if (/^(ev_.*_)?\d+$/.test(sample)) return sample.replace(/\d+$/, '999999');
  return sample.slice(0, -1) + (sample.endsWith('a') ? 'b' : 'a');
}
