import { describe, expect, it } from 'vitest';
import { csvLine } from './csv.js';

describe('csvLine', () => {
  it('quotes commas, quotes and line ends, and leaves out what is null', () => {
    expect(csvLine(['a', null, 'b,c', 'd"e', 'f\ng'])).toBe('a,,"b,c","d""e","f\ng"\r\n');
  });

  it.each(['=1+1', '+1', '-1', '@SUM(A1)', '\tx', '\rx'])('takes from %j what would make it a formula', (value) => {
    expect(csvLine([value]).replace(/^"/, '').startsWith("'")).toBe(true);
  });
});
