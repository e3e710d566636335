import type { OperationFailure, OperationPhase, OperationRow } from './operation.types.js';

/** The columns of gateway.operation that an OperationRow is made of, as pg gives them. */
export interface OperationRecord {
  ordinal: string;
  id: string;
  request_id: Buffer;
  network: string;
  body_hash: Buffer;
  principal: Buffer;
  type: string;
  code: number;
  actor: Buffer;
  record_id: Buffer;
  parameters: Buffer;
  deadline: string;
  auth_context: Buffer;
  signature: Buffer;
  parent_id: string | null;
  phase: OperationPhase;
  failure: OperationFailure | null;
  priority: number;
  created_at: Date;
  updated_at: Date;
}

export const OPERATION_COLUMNS = `ordinal, id, request_id, network, body_hash, principal, type, code, actor, record_id,
  parameters, deadline, auth_context, signature, parent_id, phase, failure, priority, created_at, updated_at`;

export function operationOf(record: OperationRecord): OperationRow {
  return {
    ordinal: BigInt(record.ordinal),
    id: record.id,
    requestId: record.request_id,
    network: record.network,
    bodyHash: record.body_hash,
    principal: record.principal,
    type: record.type,
    code: record.code,
    actor: record.actor,
    recordId: record.record_id,
    parameters: record.parameters,
    deadline: Number(record.deadline),
    authContext: record.auth_context,
    signature: record.signature,
    parentId: record.parent_id,
    phase: record.phase,
    failure: record.failure,
    priority: record.priority,
    createdAt: record.created_at,
    updatedAt: record.updated_at,
  };
}
