/** One record of RFC 4180 with its line end. */
export function csvLine(cells: readonly (string | null)[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}

/**
 * Quoted where RFC 4180 asks for it. What a spreadsheet would take for a formula gets an apostrophe before it (OWASP, CSV injection);
 * nothing that comes from a ledger begins like that.
 */
function csvCell(value: string | null): string {
  if (value === null) return '';
  const harmless = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
