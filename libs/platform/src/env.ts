import { z } from 'zod';

/**
 * Parses the environment once into one typed value.
 * @throws Error naming every variable that is missing or wrong, and what it should be; values are never shown.
 */
export function parseEnv<T extends z.ZodType>(schema: T, source: NodeJS.ProcessEnv): z.output<T> {
  const result = schema.safeParse(source);
  if (result.success) return result.data;
  const lines = result.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`);
  throw new Error(`The environment does not fit; set these variables (see .env.example):\n${lines.join('\n')}`);
}
