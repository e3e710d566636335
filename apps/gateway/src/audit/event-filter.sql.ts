import { recordsSql } from './records.sql.js';

export interface EventFilter {
  recordId?: Buffer;
  /** Any of these records. */
  recordIds?: Buffer[];
  /** Records of the patient with this blind index. */
  identifierIndex?: Buffer;
  /** Records of the patient whose log-in has this blind index. */
  account?: Buffer;
  actor?: Buffer;
  /** Address of an actor that is registered as a device. */
  device?: Buffer;
  type?: string;
  denied?: boolean;
  purpose?: number;
}

/** The role bit of a device (libs/contracts/src/operations.ts). */
const DEVICE = 16;

/**
 * SQL that narrows `mirror.emr_event e`, each condition with ` AND ` before it.
 * @param value adds a parameter and gives its placeholder
 * @param network placeholder of the network whose events are asked for: whether an actor is a device there is asked once, not for each event
 */
export function filterSql(filter: EventFilter, value: (it: unknown) => string, network: string): string {
  const conditions: string[] = [];
  if (filter.recordId) conditions.push(`e.record_id = ${value(filter.recordId)}`);
  const records = recordsSql(filter, value);
  if (records) conditions.push(`e.record_id IN (${records})`);
  if (filter.actor) conditions.push(`e.actor = ${value(filter.actor)}`);
  if (filter.device) {
    const device = value(filter.device);
    conditions.push(`e.actor = ${device}
      AND EXISTS (SELECT FROM mirror.actor d WHERE d.network = ${network} AND d.address = ${device} AND d.roles & ${DEVICE} <> 0)`);
  }
  if (filter.type) conditions.push(`e.type = ${value(filter.type)}`);
  if (filter.denied !== undefined) conditions.push(filter.denied ? 'e.outcome <> 0' : 'e.outcome = 0');
  if (filter.purpose !== undefined) conditions.push(`e.purpose = ${value(filter.purpose)}`);
  return conditions.map((condition) => ` AND ${condition}`).join('');
}
