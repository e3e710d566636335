import type { OperationView } from '../../../../libs/chain-client/src/submission/operation.types.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import type { OperationBody } from './operation.schema.js';

/** Where what an operation made is found, by its type. `record` and `request` are 0x-hex ids. */
const madeBy: Record<string, (record: string, request: string) => Record<string, string>> = {
  open: (record) => ({ record: `/v1/emrs/${record}` }),
  amend: (record) => ({ record: `/v1/emrs/${record}` }),
  close: (record) => ({ record: `/v1/emrs/${record}` }),
  reopen: (record) => ({ record: `/v1/emrs/${record}` }),
  query: (record, request) => ({
    record: `/v1/emrs/${record}`,
    query: `/v1/queries/${request}`,
    content: `/v1/queries/${request}/content`,
  }),
  grant: (record) => ({ record: `/v1/emrs/${record}`, grants: `/v1/emrs/${record}/grants` }),
  transfer: (record, request) => ({ record: `/v1/emrs/${record}`, transfer: `/v1/transfers/${request}` }),
};

/** The operation as the API shows it. */
export function presentOperation(view: OperationView): OperationBody {
  const requestId = toHex(view.requestId);
  const record = view.recordId.some((byte) => byte !== 0) ? toHex(view.recordId) : undefined;
  const { transaction, event, outcome } = view;
  return {
    id: view.id,
    type: view.type,
    state: view.state,
    network: view.network,
    ...(record === undefined ? {} : { recordId: record }),
    requestId,
    ...(transaction
      ? {
          transaction: {
            hash: toHex(transaction.hash),
            nonce: transaction.nonce,
            ...(transaction.blockNumber === undefined ? {} : { blockNumber: String(transaction.blockNumber) }),
            ...(transaction.blockHash ? { blockHash: toHex(transaction.blockHash) } : {}),
            ...(transaction.confirmations === undefined ? {} : { confirmations: transaction.confirmations }),
          },
        }
      : {}),
    ...(event === undefined ? {} : { event }),
    ...(outcome ? { outcome: { code: outcome.code, ...(outcome.detail ? { detail: outcome.detail } : {}) } } : {}),
    createdAt: view.createdAt.toISOString(),
    updatedAt: view.updatedAt.toISOString(),
    links: {
      self: `/v1/operations/${view.id}`,
      ...(record === undefined ? {} : madeBy[view.type]?.(record, requestId)),
    },
  };
}
