/** Which records are asked for: any of these, those of a patient by the blind index of an identifier, of a log-in. */
export interface RecordsFilter {
  recordIds?: Buffer[] | undefined;
  identifierIndex?: Buffer | undefined;
  account?: Buffer | undefined;
}

/**
 * SQL that gives the `record_id` of each record asked for; undefined when none is. A search joins it laterally: a page of each record's
 * events is read, however many there are, where a plain IN would read them all.
 * @param value adds a parameter and gives its placeholder
 */
export function recordsSql(filter: RecordsFilter, value: (it: unknown) => string): string | undefined {
  const sources: string[] = [];
  if (filter.recordIds) sources.push(`SELECT unnest(${value(filter.recordIds)}::bytea[]) AS record_id`);
  if (filter.identifierIndex) {
    sources.push(`SELECT pr.record_id FROM gateway.patient_record pr
      JOIN gateway.patient p ON p.id = pr.patient_id WHERE p.identifier_index = ${value(filter.identifierIndex)}`);
  }
  if (filter.account) {
    sources.push(`SELECT pr.record_id FROM gateway.patient_record pr
      JOIN gateway.patient_account pa USING (patient_id) WHERE pa.account_index = ${value(filter.account)}`);
  }
  return sources.length > 0 ? sources.join(' INTERSECT ') : undefined;
}
