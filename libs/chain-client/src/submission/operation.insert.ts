import { binaryArray } from '../../../database/src/binary-array.js';
import type { Query, Statement } from '../../../database/src/transaction.js';
import { newOperationId } from './operation.id.js';
import { OPERATION_COLUMNS, type OperationRecord, operationOf } from './operation.rows.js';
import { type Accepted, IdempotencyMismatch, type NewOperation, type OperationRow } from './operation.types.js';

const COLUMNS = `id, request_id, network, body_hash, principal, type, code, actor, record_id, parameters, deadline, auth_context,
  signature, auth_evidence, parent_id, priority`;
/** Parameters $1 to $16 of a statement that inserts operations: one array for each of `COLUMNS`, in their order. */
export const OPERATION_ARRAYS = `$1::text[], $2::bytea[], $3::text[], $4::bytea[], $5::bytea[], $6::text[], $7::smallint[],
  $8::bytea[], $9::bytea[], $10::bytea[], $11::bigint[], $12::bytea[], $13::bytea[], $14::bytea[], $15::text[], $16::smallint[]`;
export { COLUMNS as INSERTED_COLUMNS };

/** What a row of a new operation gets from the database. */
export interface InsertedRow {
  id: string;
  ordinal: string;
  request_id: Buffer;
  network: string;
  created_at: Date;
}

const INSERT: Statement = {
  name: 'operation-insert',
  text: `INSERT INTO gateway.operation (${COLUMNS}) SELECT * FROM unnest(${OPERATION_ARRAYS})
    ON CONFLICT (network, request_id) DO NOTHING RETURNING id, ordinal, request_id, network, created_at`,
};

/** An operation that has its id. */
export type NamedOperation = NewOperation & { id: string };

export function named(operation: NewOperation): NamedOperation {
  return isNamed(operation) ? operation : { ...operation, id: newOperationId() };
}

function isNamed(operation: NewOperation): operation is NamedOperation {
  return operation.id !== undefined;
}

/** The values of `OPERATION_ARRAYS`. */
export function operationArrays(operations: readonly NamedOperation[]): Buffer[] {
  const bytes = (
    key: 'requestId' | 'bodyHash' | 'principal' | 'actor' | 'recordId' | 'parameters' | 'authContext' | 'signature',
  ) =>
    binaryArray(
      'bytea',
      operations.map((operation) => operation[key]),
    );
  return [
    binaryArray(
      'text',
      operations.map(({ id }) => id),
    ),
    bytes('requestId'),
    binaryArray(
      'text',
      operations.map(({ network }) => network),
    ),
    bytes('bodyHash'),
    bytes('principal'),
    binaryArray(
      'text',
      operations.map(({ type }) => type),
    ),
    binaryArray(
      'int2',
      operations.map(({ code }) => code),
    ),
    bytes('actor'),
    bytes('recordId'),
    bytes('parameters'),
    binaryArray(
      'int8',
      operations.map(({ deadline }) => BigInt(deadline)),
    ),
    bytes('authContext'),
    bytes('signature'),
    binaryArray(
      'bytea',
      operations.map(({ authEvidence }) => authEvidence ?? null),
    ),
    binaryArray(
      'text',
      operations.map(({ parentId }) => parentId ?? null),
    ),
    binaryArray(
      'int2',
      operations.map(({ priority }) => priority ?? 0),
    ),
  ];
}

// Field by field: what is left of an object by `...rest` is a hash table of kilobytes, and this is made for each act.
/** A stored operation, from what was asked for and what the database added. */
export function acceptedRow(
  operation: NamedOperation,
  { ordinal, created_at }: InsertedRow,
  phase: OperationRow['phase'],
): OperationRow {
  return {
    ordinal: BigInt(ordinal),
    id: operation.id,
    requestId: operation.requestId,
    network: operation.network,
    bodyHash: operation.bodyHash,
    principal: operation.principal,
    type: operation.type,
    code: operation.code,
    actor: operation.actor,
    recordId: operation.recordId,
    parameters: operation.parameters,
    deadline: operation.deadline,
    authContext: operation.authContext,
    signature: operation.signature,
    parentId: operation.parentId ?? null,
    phase,
    failure: null,
    priority: operation.priority ?? 0,
    createdAt: created_at,
    updatedAt: created_at,
  };
}

/**
 * Stores acts as accepted, by one statement for all rows; rows that were there already are read and compared. Outcomes are in the
 * order of `operations`.
 */
export async function insertOperations(
  operations: readonly NamedOperation[],
  query: Query,
): Promise<(Accepted | IdempotencyMismatch)[]> {
  const rows = await query<InsertedRow>(INSERT, operationArrays(operations));
  const inserted = new Map(rows.map((row) => [keyOf(row.network, row.request_id), row]));
  const missing = operations.filter(({ network, requestId }) => !inserted.has(keyOf(network, requestId)));
  const existing = missing.length === 0 ? [] : await read(missing, query);
  const found = new Map(existing.map((record) => [keyOf(record.network, record.request_id), operationOf(record)]));
  // One key may stand in the group twice: the other one is then a replay of the one that was inserted.
  for (const operation of operations) {
    const row = inserted.get(keyOf(operation.network, operation.requestId));
    if (row?.id === operation.id)
      found.set(keyOf(row.network, row.request_id), acceptedRow(operation, row, 'accepted'));
  }
  return operations.map((operation) => {
    const stored = found.get(keyOf(operation.network, operation.requestId));
    if (stored === undefined) throw new Error('An act was neither stored nor found.');
    if (!stored.bodyHash.equals(operation.bodyHash)) return new IdempotencyMismatch(stored.id);
    return { operation: stored, replayed: stored.id !== operation.id };
  });
}

async function read(operations: readonly NewOperation[], query: Query): Promise<OperationRecord[]> {
  return query<OperationRecord>(
    `SELECT ${OPERATION_COLUMNS} FROM gateway.operation
     WHERE (network, request_id) IN (SELECT * FROM unnest($1::text[], $2::bytea[]))`,
    [operations.map(({ network }) => network), operations.map(({ requestId }) => requestId)],
  );
}

function keyOf(network: string, requestId: Buffer): string {
  return `${network} ${requestId.toString('latin1')}`;
}
