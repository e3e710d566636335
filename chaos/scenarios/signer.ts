import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { keyFiles } from '../../deploy/local/provision.js';
import { readKeystore } from '../../libs/chain-client/src/keys/keystore.js';
import { addressOf, newKey, signDigest } from '../../libs/chain-client/src/keys/secp256k1.js';
import { signLegacyTransaction } from '../../libs/chain-client/src/keys/transaction.js';
import { intentDigest, type UnsignedIntent } from '../../libs/contracts/src/intent.codec.js';
import { Operation } from '../../libs/contracts/src/operations.js';
import { parameters } from '../../libs/contracts/src/parameters.js';
import { fromHex, toHex } from '../../libs/platform/src/bytes.js';
import { type Ledger, ledgerOf, relayerKey } from '../client/ledger.js';
import { expectStatus } from '../client/user.js';
import { isSend } from '../proxy/fates.js';
import { type Run, type Scenario, until } from '../run.js';

interface SignerRow {
  id: number;
  state: string;
  reason: string | null;
  next_nonce: string;
}

export const signer: Scenario[] = [
  {
    name: 'foreign',
    about: "the relayer's key used elsewhere: quarantine, nothing signed, then released by the administrator",
    rows: [18],
    seconds: 8,
    async inject(run: Run) {
      const foreign = new Set<string>();
      run.allow.foreign = foreign;
      for (let round = 0; round < 4; round += 1) {
        await run.rest(800, 1_800);
        foreign.add(await sendElsewhere(run));
        if (!(await becomes(run, 'quarantined'))) {
          run.findings.push({ kind: 'other', text: 'the key was used elsewhere, and the signer was not quarantined' });
          return;
        }
        const before = await rowOf(run);
        await run.rest(500, 1_500);
        const after = await rowOf(run);
        if (before.next_nonce !== after.next_nonce)
          run.findings.push({ kind: 'other', text: 'a quarantined signer went on signing' });
        await release(run, after.id);
      }
    },
  },
  {
    name: 'denied',
    about: 'half of all acts are ones the ledger denies',
    rows: [19],
    refused: 50,
    async afterwards(run: Run) {
      for (const act of run.load.acts) if (act.kind === 'refused' && act.state === 'denied') run.fault('an act denied');
    },
  },
  {
    name: 'refused',
    about: 'the node refuses what heads the line, for a while: the signer pauses, and goes on by itself',
    rows: [20],
    seconds: 14,
    fate: (message) =>
      isSend(message) && Math.floor(Date.now() / 1_500) % 2 === 0 ? { kind: 'refuse' } : { kind: 'pass' },
  },
  {
    name: 'status-0',
    about: "the relayer's right taken away on the ledger and given back: its transactions mine with status 0",
    rows: [23],
    seconds: 10,
    allow: { reverts: true },
    async inject(run: Run) {
      const keys = await keysOf(run);
      const ledger = ledgerOf({ networksFile: run.stack.networks.direct }, 'local');
      const foreign = new Set<string>();
      run.allow.foreign = foreign;
      try {
        for (let round = 0; round < 3; round += 1) {
          await run.rest(800, 1_800);
          foreign.add(await setRelayer(ledger, keys, false));
          await run.rest(600, 1_800);
          foreign.add(await setRelayer(ledger, keys, true));
        }
      } finally {
        await ledger.close();
      }
    },
    async afterwards(run: Run) {
      const rows = await run.sql(`SELECT 1 FROM mirror.inclusion WHERE status = 0`);
      for (const _ of rows) run.fault('a transaction mined with status 0');
    },
  },
  {
    name: 'deadline',
    about: 'deadlines pass while acts wait behind a paused signer (their deadline is set into the past)',
    rows: [24],
    seconds: 9,
    mayFail: true,
    allow: { failures: ['DEADLINE_PASSED'] },
    async inject(run: Run) {
      for (let round = 0; round < 3; round += 1) {
        await run.rest(600, 1_500);
        // Held by hand, or an act might be signed with a deadline that its actor never signed.
        await run.sql(`UPDATE gateway.signer SET state = 'paused', reason = 'PAUSED_BY_ADMIN', fence = fence + 1`);
        await run.rest(300, 800);
        const late = await run.sql<{ id: string }>(
          `UPDATE gateway.operation SET deadline = (
             SELECT b.time - 5 FROM mirror.cursor c JOIN mirror.block b ON b.network = c.network AND b.number = c.final_number)
           WHERE phase = 'accepted' RETURNING id`,
        );
        for (const _ of late) run.fault('a deadline passed');
        const failed = await until(async () => {
          const rows = await run.sql(`SELECT 1 FROM gateway.operation WHERE id = ANY($1) AND phase <> 'failed'`, [
            late.map(({ id }) => id),
          ]);
          return rows.length === 0;
        }, 10_000);
        if (!failed) run.findings.push({ kind: 'stuck', text: 'acts past their deadline are not called failed' });
        await run.sql(`UPDATE gateway.signer SET state = 'active', reason = NULL, fence = fence + 1`);
      }
    },
  },
  {
    name: 'clock',
    about: "one gateway's clock jumps back and forth (its Date alone; libfaketime is not used)",
    rows: [24],
    seconds: 10,
    async inject(run: Run) {
      for (let round = 0; round < 6; round += 1) {
        await run.rest(400, 1_500);
        await run.setClock('gateway-1', (run.dice.below(2) === 0 ? -1 : 1) * (1 + run.dice.below(20)) * 1_000);
      }
      await run.setClock('gateway-1', 0, []);
    },
  },
];

async function rowOf(run: Run): Promise<SignerRow> {
  const relayer = addressOf(await relayerKey(run.stack.hospital, 'local'));
  const [row] = await run.sql<SignerRow>(
    'SELECT id, state, reason, next_nonce FROM gateway.signer WHERE address = $1',
    [relayer],
  );
  if (!row) throw new Error('the signer has no row');
  return row;
}

const becomes = (run: Run, state: string) => until(async () => (await rowOf(run)).state === state, 20_000);

/** Somebody else with the relayer's key sends a transaction that is no act. @returns its hash */
async function sendElsewhere(run: Run): Promise<string> {
  const ledger = ledgerOf({ networksFile: run.stack.networks.direct }, 'local');
  const key = await relayerKey(run.stack.hospital, 'local');
  try {
    for (let tries = 0; tries < 50; tries += 1) {
      const nonce = await ledger.reader.transactionCount(addressOf(key), 'pending');
      const { raw, hash } = signLegacyTransaction(
        {
          ...{ chainId: ledger.network.chainId, nonce, gasPrice: 0n, gasLimit: 21_000n },
          ...{ to: addressOf(newKey()), data: Buffer.alloc(0) },
        },
        key,
      );
      const [outcome] = await ledger.reader.sendRaw([raw]);
      if (outcome?.error) continue; // the gateway was faster with this nonce
      const mined = await until(async () => (await ledger.reader.receipt(hash)) !== undefined, 3_000);
      if (!mined) continue;
      run.fault(`nonce ${nonce} used elsewhere`);
      return toHex(hash);
    }
    throw new Error('no nonce could be used elsewhere');
  } finally {
    await ledger.close();
  }
}

/** As an administrator does it. What the quarantine was about is in a block by now. */
async function release(run: Run, id: number): Promise<void> {
  const path = `/v1/admin/signers/${id}/release`;
  const body = { reason: 'KEY_SECURED', ticket: 'INC-1' };
  const answer = await run.user('admin.a').post(path, body);
  expectStatus(answer, 200);
  if (!(await becomes(run, 'active')))
    run.findings.push({ kind: 'stuck', text: 'a released signer did not become active' });
}

async function keysOf(run: Run): Promise<{ registrar: Buffer; second: Buffer; relayer: Buffer }> {
  const { keys } = run.stack.hospital.layout;
  const passphrase = (await readFile(keyFiles(run.stack.hospital.layout).passphrase, 'utf8')).trim();
  return {
    registrar: await readKeystore(join(keys, 'registrar.json'), passphrase),
    second: await relayerKey(run.stack.hospital, 'global'),
    relayer: fromHex(run.stack.hospital.facts.relayers.local, 20),
  };
}

/** The registrar gives or takes the relayer's right, carried by the second relayer. @returns hash of the transaction */
async function setRelayer(
  ledger: Ledger,
  { registrar, second, relayer }: { registrar: Buffer; second: Buffer; relayer: Buffer },
  active: boolean,
): Promise<string> {
  const unsigned: UnsignedIntent = {
    ...{ operation: Operation.SET_RELAYER, requestId: randomBytes(32), recordId: Buffer.alloc(32) },
    ...{ parameters: parameters.setRelayer({ relayer, active }), actor: addressOf(registrar) },
    ...{ deadline: Math.floor(Date.now() / 1000) + 86_400, authContext: randomBytes(32) },
  };
  const intent = { ...unsigned, signature: signDigest(registrar, intentDigest(ledger.domain, unsigned)) };
  const { receipt, events } = await ledger.carry(second, [intent]);
  if (!events.some(({ type }) => type === 'RelayerChanged'))
    throw new Error(`the relayer was not changed: ${events.map(({ type }) => type).join(', ')}`);
  return toHex(receipt.transactionHash);
}
