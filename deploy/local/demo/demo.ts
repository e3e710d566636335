import type { Logger } from '../../geth/program.js';
import type { RunningHospital, RunningStack } from '../stack.js';
import { DemoFailure, Latencies, type Session } from './client.js';
import { introduce, type People, peopleOf } from './people.js';
import { openRecord, queryRecord, readSamples, type SampleRecord } from './records.js';
import { refusedQuery } from './refusal.js';
import { transferRecord } from './transfers.js';

/** How many of the records go to hospital B. */
const TRANSFERS = 2;

export interface DemoReport {
  /** nothing had to be done: an earlier start had done it all */
  resumed: boolean;
  opened: number;
  queried: number;
  /** how many of those gave content to compare; looks of an earlier start may have expired */
  compared: number;
  transferred: number;
  /** event id of the refusal in the audit trail */
  refusal: string;
  latencies: ReturnType<Latencies['summary']>;
  /** sequenced events by hospital and network, each verified without a gap */
  events: { title: string; network: string; events: string }[];
}

/**
 * Loads the sample data and uses it, through the REST API alone, as a hospital's own system would. Each act has a fixed
 * Idempotency-Key, so that the next start finds it done.
 * @throws DemoFailure (or the network's error) at the first thing that is not as it should be
 */
export async function runDemo(stack: RunningStack, logger: Logger, signal: AbortSignal): Promise<DemoReport> {
  const latencies = new Latencies();
  const [a, b] = stack.hospitals as [RunningHospital, RunningHospital];
  const atA = peopleOf(a, latencies, signal);
  const atB = peopleOf(b, latencies, signal);

  logger.info('demo: users and actors of both hospitals');
  await Promise.all([introduce(a, atA), introduce(b, atB)]);

  const clinician = atA('clinician.a');
  const samples = await readSamples();
  const records: SampleRecord[] = [];
  for (const [index, sample] of samples.entries()) {
    const record = await openRecord(clinician, sample);
    records.push(record);
    const how = record.known ? 'is there from an earlier start' : 'uploaded and opened';
    logger.info(
      `demo: ${index + 1}/${samples.length} ${sample.file} (${Math.round(sample.bytes.length / 1024)} kB) ${how}`,
    );
  }

  logger.info(`demo: clinician.a looks at ${records.length} records`);
  let compared = 0;
  for (const record of records) {
    const came = await queryRecord(
      clinician,
      record.recordId,
      record.bytes,
      `demo-query-${record.identifier.value}`,
      record.known,
    );
    if (came) compared += 1;
  }

  const [first] = records;
  if (!first) throw new DemoFailure('data/fhir holds no bundles');
  const refusal = await refusedQuery(atA('clinician.c'), atA('auditor.a'), first.recordId);
  logger.info(`demo: clinician.c, without a relation, was refused by the ledger: ${refusal}`);

  const copies = await Promise.all(
    records.slice(0, TRANSFERS).map((record, index) =>
      transferRecord({
        ...{ record, sender: clinician, receiver: atB('clinician.b'), toHospital: b.layout.id },
        step: (text) => logger.info(`demo: transfer ${index + 1}/${TRANSFERS} to hospital B: ${text}`),
      }),
    ),
  );

  compared += copies.filter(Boolean).length;

  return {
    resumed: records.every((record) => record.known),
    ...{ opened: records.length, queried: records.length + TRANSFERS, compared, transferred: TRANSFERS, refusal },
    latencies: latencies.summary(),
    events: [...(await verified(a, atA)), ...(await verified(b, atB))],
  };
}

/** What the hospital's mirror has verified. @throws DemoFailure when something is missing from it */
async function verified(hospital: RunningHospital, people: People): Promise<DemoReport['events']> {
  const auditor: Session = people(`auditor.${hospital.layout.letter}`);
  const { json } = await auditor.expect([200], { path: '/v1/audit/integrity' });
  return json.networks.map(
    (network: { network: string; events: string; gaps: unknown[]; stopped: { reason: string } | null }) => {
      if (network.gaps.length > 0 || network.stopped !== null) {
        throw new DemoFailure(
          `${hospital.layout.title}, ${network.network}: ${network.stopped?.reason ?? 'events are missing'}`,
        );
      }
      return { title: hospital.layout.title, network: network.network, events: network.events };
    },
  );
}
