// Reads JSON in which every byte counts: what could be written in two ways is accepted in one, so that no byte can be changed unnoticed.
import { check, Fault } from './fault.mjs';

/** @param {string} text JSON without spaces, as it was served; one line feed may end it @param {string} what for messages */
export function parseExactly(text, what) {
  const line = text.endsWith('\n') ? text.slice(0, -1) : text;
  let value;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new Fault(`${what} is not JSON: ${error.message}`);
  }
  const again = JSON.stringify(value);
  if (again !== line) {
    let at = 0;
    while (again[at] === line[at]) at++;
    throw new Fault(`${what} is not written as it was served: see character ${at}`);
  }
  return value;
}

/** `value` as an object that has exactly these members, in this order. */
export function members(value, names, what) {
  check(value !== null && typeof value === 'object' && !Array.isArray(value), `${what} is not an object`);
  const found = Object.keys(value).join(' ');
  check(found === names.join(' '), `${what} has the members "${found}" where "${names.join(' ')}" are due`);
  return value;
}

/** @param {number} [length] bytes @returns {Buffer} */
export function bytes(value, what, length) {
  check(typeof value === 'string' && /^0x([0-9a-f]{2})*$/.test(value), `${what} is not hex in lower case`);
  const read = Buffer.from(value.slice(2), 'hex');
  check(length === undefined || read.length === length, `${what} has ${read.length} bytes where ${length} are due`);
  return read;
}

/** A decimal string. @returns {bigint} */
export function integer(value, what) {
  check(typeof value === 'string' && /^(0|[1-9]\d{0,77})$/.test(value), `${what} is not a whole number in a string`);
  return BigInt(value);
}

export function list(value, what) {
  check(Array.isArray(value), `${what} is not a list`);
  return value;
}

/** @param {Uint8Array} value */
export function hex(value) {
  return `0x${Buffer.from(value).toString('hex')}`;
}

/** RFC 3339, to the millisecond. @param {bigint} milliseconds since 1970 */
export function instant(milliseconds, what) {
  const date = new Date(Number(milliseconds));
  check(!Number.isNaN(date.getTime()), `${what} is no time`);
  return date.toISOString();
}
