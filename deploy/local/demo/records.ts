import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { projectRoot } from '../layout.js';
import { DemoFailure, type Session } from './client.js';

/** A sample bundle and, once opened, its record at hospital A. */
export interface SampleRecord {
  file: string;
  identifier: { system: string; value: string };
  bytes: Buffer;
  recordId: string;
  /** whether an earlier start opened it */
  known: boolean;
}

export async function readSamples(): Promise<Omit<SampleRecord, 'recordId' | 'known'>[]> {
  const folder = join(projectRoot, 'data', 'fhir');
  const index: { file: string; patientId: string }[] = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8'));
  return Promise.all(
    index.map(async ({ file, patientId }) => ({
      file,
      identifier: { system: 'urn:hospital-a:mrn', value: patientId },
      bytes: await readFile(join(folder, file)),
    })),
  );
}

/** Uploads a bundle and opens a record for its patient; one opened by an earlier start is found again. */
export async function openRecord(
  clinician: Session,
  sample: Omit<SampleRecord, 'recordId' | 'known'>,
): Promise<SampleRecord> {
  const found = await clinician.expect([200], {
    ...{ method: 'POST', path: '/v1/emrs/_search', body: { identifier: sample.identifier } },
  });
  const existing = found.json.items[0];
  if (existing) return { ...sample, recordId: existing.id, known: true };

  const name = sample.identifier.value;
  let contentId = await upload(clinician, sample.bytes, `demo-upload-${name}`);
  const open = (): Promise<{ status: number; headers: Headers }> =>
    clinician.call({
      ...{ method: 'POST', path: '/v1/emrs', key: `demo-open-${name}`, prefer: 'wait=30', label: 'open a record' },
      body: { patient: { identifier: sample.identifier }, contentId, securityLevel: 1 },
    });
  let answer = await open();
  if (answer.status === 404 || answer.status === 410) {
    // An earlier start uploaded it and got no further for over an hour.
    contentId = await upload(clinician, sample.bytes, `demo-upload-${name}-${Date.now()}`);
    answer = await open();
  }
  const recordId = /^\/v1\/emrs\/(0x[0-9a-f]{64})$/.exec(answer.headers.get('location') ?? '')?.[1];
  if (answer.status !== 201 || !recordId) {
    throw new DemoFailure(
      `${sample.file} was not opened: ${answer.status} (request ${answer.headers.get('x-request-id')})`,
    );
  }
  return { ...sample, recordId, known: false };
}

async function upload(clinician: Session, bytes: Buffer, key: string): Promise<string> {
  const answer = await clinician.expect([201], {
    ...{ method: 'POST', path: '/v1/contents', key, body: bytes, contentType: 'application/fhir+json' },
    label: 'upload a bundle',
  });
  return answer.json.contentId;
}

/**
 * Looks at a record and compares what came with what was uploaded. With the key of an earlier start it is the same look: if
 * that has expired meanwhile, its content is rightly not given again.
 */
export async function queryRecord(
  who: Session,
  recordId: string,
  bytes: Buffer,
  key: string,
  known: boolean,
): Promise<boolean> {
  const label = 'query: request to decrypted content';
  const answer = await who.expect(known ? [201, 410] : [201], {
    ...{ method: 'POST', path: `/v1/emrs/${recordId}/queries`, key, body: { purpose: 'TREAT' } },
    ...{ prefer: 'wait=10, return=representation', label },
  });
  if (answer.status === 201 && !answer.bytes.equals(bytes)) {
    throw new DemoFailure(`${who.username}: record ${recordId} came back with other bytes than were uploaded`);
  }
  return answer.status === 201;
}
