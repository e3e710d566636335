import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';

/** The p-th percentile (0–100, nearest rank) of unsorted values, rounded to 0.1; NaN for none. */
export function percentile(values: readonly number[], p: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const rank = Math.max(0, Math.ceil((p / 100) * sorted.length) - 1);
  return Math.round((sorted[rank] as number) * 10) / 10;
}

/** What a figure means nothing without. */
export function machine(): Record<string, string | number> {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
  };
}

/** Prints the figures as a table, and writes the same as JSON where a file is asked for. */
export function publish(title: string, figures: Record<string, unknown>, jsonFile?: string): void {
  const width = Math.max(...Object.keys(figures).map((key) => key.length));
  process.stdout.write(`\n${title}\n`);
  for (const [key, value] of Object.entries(figures)) {
    const shown = typeof value === 'object' ? JSON.stringify(value) : String(value);
    process.stdout.write(`  ${key.padEnd(width)}  ${shown}\n`);
  }
  if (jsonFile === undefined) return;
  writeFileSync(jsonFile, `${JSON.stringify({ ...figures, machine: machine() }, null, 2)}\n`);
  process.stdout.write(`\nwritten to ${jsonFile}\n`);
}
