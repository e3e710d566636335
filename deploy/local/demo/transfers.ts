import { DemoFailure, type Session } from './client.js';
import { queryRecord, type SampleRecord } from './records.js';

/**
 * Sends a copy of a record from A to B: proposed by A's clinician, accepted by B's once the package has come and proven to
 * be what the ledger says, then looked at there.
 * @param step told how far it is
 * @returns whether the receiver's look gave content, and so was compared
 */
export async function transferRecord(options: {
  record: SampleRecord;
  sender: Session;
  receiver: Session;
  toHospital: number;
  step: (text: string) => void;
}): Promise<boolean> {
  const { record, sender, receiver, step } = options;
  const name = record.identifier.value;
  const proposed = await sender.expect([201, 202], {
    ...{ method: 'POST', path: `/v1/emrs/${record.recordId}/transfers`, key: `demo-transfer-${name}` },
    ...{ prefer: 'wait=30', body: { toHospital: options.toHospital, mode: 'copy', reason: 'treatment' } },
  });
  const transferId =
    proposed.status === 201 ? proposed.headers.get('location')?.split('/').at(-1) : proposed.json.requestId;
  const path = `/v1/transfers/${transferId}`;

  const arrived = await receiver.until(
    { path },
    `transfer ${transferId} to arrive`,
    ({ status, json }) => status === 200 && (ended(json.state) || (json.state === 'proposed' && json.packageReceived)),
  );
  if (arrived.json.state === 'proposed') {
    step('package received and proven; accepting');
    await receiver.expect([200, 202], {
      ...{ method: 'POST', path: `${path}/acceptance`, key: `demo-accept-${name}`, prefer: 'wait=30', body: {} },
    });
  }
  const done = await receiver.until(
    { path },
    `transfer ${transferId} to be completed`,
    ({ json }) =>
      (json.state === 'completed' && json.receivedRecordId !== null) ||
      (ended(json.state) && json.state !== 'completed'),
  );
  if (done.json.state !== 'completed') {
    throw new DemoFailure(
      `transfer ${transferId} ended as ${done.json.state}: ${done.json.problem ?? 'no reason given'}`,
    );
  }
  step('completed; the copy is open at the receiver');
  const copy: string = done.json.receivedRecordId;
  await receiver.until({ path: `/v1/emrs/${copy}` }, `the copy ${copy}`, ({ status }) => status === 200);
  const compared = await queryRecord(receiver, copy, record.bytes, `demo-query-${name}`, record.known);
  await sender.until(
    { path: `/v1/emrs/${record.recordId}` },
    'the record to be free again at the sender',
    ({ status, json }) => status === 200 && json.frozenBy === null,
  );
  return compared;
}

const ended = (state: string) => ['completed', 'rejected', 'cancelled', 'expired', 'failed'].includes(state);
