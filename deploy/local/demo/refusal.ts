import { DemoFailure, type Session } from './client.js';

/** A clinician without a relation asks for a record: the ledger refuses, and the auditor finds the refusal. */
export async function refusedQuery(stranger: Session, auditor: Session, recordId: string): Promise<string> {
  const answer = await stranger.expect([403], {
    ...{ method: 'POST', path: `/v1/emrs/${recordId}/queries`, key: 'demo-query-without-relation' },
    ...{ prefer: 'wait=10, return=representation', body: { purpose: 'TREAT' } },
  });
  const { code, reason, operation } = answer.json;
  if (code !== 'DENIED_BY_LEDGER' || reason !== 'NO_RELATION') {
    throw new DemoFailure(
      `${stranger.username} was refused with ${code} ${reason ?? ''} where the ledger's NO_RELATION was due`,
    );
  }
  const found = await auditor.until(
    { path: `/v1/audit/events?recordId=${recordId}&outcome=denied` },
    'the refusal in the audit trail',
    ({ status, json }) =>
      status === 200 && json.items.some((event: { requestId: string }) => event.requestId === operation.requestId),
    20_000,
  );
  return found.json.items.find((event: { requestId: string }) => event.requestId === operation.requestId).id;
}
