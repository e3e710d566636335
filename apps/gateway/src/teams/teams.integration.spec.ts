import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectStatus, type Hospital, type Hospitals, startHospitals } from '../../../../test/hospitals/hospitals.js';

const clinician = ['clinician'];
const admin = ['admin'];
const team = `0x${randomBytes(20).toString('hex')}`;
const content = { prefer: 'wait=20, return=representation' };

let hospitals: Hospitals;
let a: Hospital;
let record: string;
let member: string;

beforeAll(async () => {
  hospitals = await startHospitals();
  a = hospitals.a;
  await a.register('clinician.a', clinician);
  await a.register('clinician.b', clinician);
  member = (await a.call('clinician.b', clinician, 'GET', '/v1/me')).body.actor.address;
  record = await a.open('clinician.a', 'MRN-1', { resourceType: 'Bundle' });
});
afterAll(() => hospitals?.close());

const look = () =>
  a.call('clinician.b', clinician, 'POST', `/v1/emrs/${record}/queries`, { purpose: 'TREAT' }, content);
const members = async () => (await a.call('auditor.a', ['auditor'], 'GET', `/v1/admin/teams/${team}/members`)).body;
const change = (what: string, actor = member, roles = admin) =>
  a.call('admin.x', roles, 'POST', `/v1/admin/teams/${team}/members${what}`, { actor });

describe('a team that cares for a patient', () => {
  it('lets its members look, from when they join until they leave', async () => {
    const relation = { party: { team } };
    expectStatus(await a.call('clinician.a', clinician, 'POST', `/v1/emrs/${record}/relations`, relation), 201);
    expect(expectStatus(await look(), 403).body.reason).toBe('NO_RELATION');

    expectStatus(await change('', member, clinician), 403);
    expectStatus(await change(''), 200);
    expect((await members()).items).toEqual([{ actor: member, subject: 'clinician.b' }]);
    expectStatus(await look(), 201);

    expectStatus(await change('/removal'), 200);
    expect((await members()).items).toEqual([]);
    expect(expectStatus(await look(), 403).body.reason).toBe('NO_RELATION');
  });

  it('takes in actors of its hospital alone: the ledger refuses others, on record', async () => {
    const stranger = `0x${randomBytes(20).toString('hex')}`;
    expect(expectStatus(await change('', stranger), 403).body).toMatchObject({
      code: 'DENIED_BY_LEDGER',
      reason: 'ACTOR_UNKNOWN',
    });
  });
});
