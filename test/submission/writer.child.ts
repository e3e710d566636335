import { text } from 'node:stream/consumers';
import { remoteSigner } from '../../libs/chain-client/src/keys/remote.signer.js';
import { localSigner } from '../../libs/chain-client/src/keys/signer.js';
import type { NewOperation } from '../../libs/chain-client/src/submission/operation.types.js';
import { createSubmission } from '../../libs/chain-client/src/submission/submission.js';
import { createDataSource } from '../../libs/database/src/data-source.js';
import { createLogger } from '../../libs/platform/src/logger.js';
import { revive, type WriterJob } from './writer.job.js';

/** A gateway's write path as a process of its own, to be killed. Reads a WriterJob on stdin, exits 0 when every act has ended. */
const job = revive(await text(process.stdin)) as WriterJob;
const dataSource = createDataSource({ url: job.databaseUrl, applicationName: 'test-writer' });
await dataSource.initialize();
const signers = Object.fromEntries(
  job.networks.map(({ name }) => [
    name,
    [...(job.relayerKeys[name] ?? []).map(localSigner), ...(job.remoteSigners?.[name] ?? []).map(remoteSigner)],
  ]),
);
const submission = createSubmission({
  ...job,
  signers,
  dataSource,
  logger: createLogger('writer', 'fatal'),
  sweepMs: 200,
});
await submission.start();
const accepted = await Promise.all(job.acts.map((act: NewOperation) => submission.acceptor.accept(act)));
const ends = await Promise.all(
  accepted.map(({ operation }) => submission.outcomes.waitFor(operation.network, operation.requestId, 20_000)),
);
await submission.stop();
await dataSource.destroy();
process.exit(ends.every((end) => end?.state === 'confirmed') ? 0 : 3);
