import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readKeystore } from '../libs/chain-client/src/keys/keystore.js';
import { addressOf, newKey } from '../libs/chain-client/src/keys/secp256k1.js';
import { abi } from '../libs/contracts/src/generated/emr-ledger.js';
import type { Intent } from '../libs/contracts/src/intent.codec.js';
import { Operation, Purpose, Role, transactionGas } from '../libs/contracts/src/operations.js';
import { parameters } from '../libs/contracts/src/parameters.js';
import { toHex } from '../libs/platform/src/bytes.js';
import type { CellLedger, Founder } from './ledger.js';
import type { Operation as Measured, Round } from './matrix.js';
import type { Prepared } from './prepared.js';

const CONTRACT = 'ledger';
const TTL_SECONDS = 900;
const WEEK_SECONDS = 7 * 24 * 3600;
const nothing = Buffer.alloc(32);

interface LedgerRecord {
  recordId: Buffer;
  contentHash: Buffer;
}

/**
 * The workloads as the stock Ethereum connector sends them to geth: each act signed by its actor beforehand, one transaction each. What
 * has to be on the ledger first (an actor, records to look at and to transfer) is put there.
 */
export async function prepareDirect(options: {
  ledger: CellLedger;
  hospital: Founder;
  passphrase: string;
  receiver: number;
  wsUrl: string;
  rounds: Round[];
}): Promise<Prepared> {
  const { ledger, hospital, rounds } = options;
  const actor = newKey();
  const registrar = await readKeystore(join(hospital.layout.keys, 'registrar.json'), options.passphrase);
  const { id } = hospital.layout;
  const transfers = rounds
    .filter(({ operation }) => operation === 'transfer')
    .reduce((sum, { count }) => sum + count, 0);
  const looked = Array.from({ length: 10 }, () => newRecord(id));
  const toTransfer = Array.from({ length: transfers }, () => newRecord(id));
  await ledger.carry([
    ledger.sign(registrar, {
      ...{ operation: Operation.REGISTER_ACTOR, recordId: nothing },
      parameters: parameters.registerActor({ account: addressOf(actor), roles: Role.CLINICIAN, custody: 0 }),
    }),
    ...[...looked, ...toTransfer].map((record) => openingOf(ledger, actor, record)),
  ]);
  let transferred = 0;
  const requestOf: Record<Measured, (index: number) => object> = {
    open: () => execute([openingOf(ledger, actor, newRecord(id))]),
    'query-view': (index) => ({
      ...{ contract: CONTRACT, verb: 'recordHead', readOnly: true },
      args: [toHex((looked[index % looked.length] as LedgerRecord).recordId)],
    }),
    'query-audited': (index) => execute([lookAt(ledger, actor, looked[index % looked.length] as LedgerRecord)]),
    transfer: () => {
      const record = toTransfer[transferred] as LedgerRecord;
      transferred += 1;
      return execute(offerOf(ledger, actor, record, options.receiver));
    },
  };
  return {
    network: {
      caliper: { blockchain: 'ethereum' },
      ethereum: {
        // As text: web3 takes the number 0 for no price, and asks the node for one.
        ...{ url: options.wsUrl, chainId: ledger.chainId, gasPrice: '0', transactionConfirmationBlocks: 1 },
        fromAddress: toHex(addressOf(ledger.relayerKey)),
        fromAddressPrivateKey: toHex(ledger.relayerKey),
        contracts: {
          [CONTRACT]: {
            abi,
            address: toHex(ledger.contract),
            gas: { execute: mostGas(ledger, actor, options.receiver) },
          },
        },
      },
    },
    requests: rounds.map(({ operation, count }) =>
      Array.from({ length: count }, (_, index) => requestOf[operation](index)),
    ),
  };
}

function newRecord(hospital: number): LedgerRecord {
  const recordId = randomBytes(32);
  recordId.writeUInt32BE(hospital, 0);
  return { recordId, contentHash: randomBytes(32) };
}

function openingOf(ledger: CellLedger, actor: Buffer, { recordId, contentHash }: LedgerRecord): Intent {
  const words = { contentHash, subject: randomBytes(20), level: 1, origin: nothing, originBlock: nothing };
  return ledger.sign(actor, { operation: Operation.OPEN, recordId, parameters: parameters.open(words) });
}

function lookAt(ledger: CellLedger, actor: Buffer, { recordId }: LedgerRecord): Intent {
  const words = { version: 1, purpose: Purpose.TREAT, ttl: TTL_SECONDS, basis: nothing };
  return ledger.sign(actor, { operation: Operation.QUERY, recordId, parameters: parameters.query(words) });
}

/** What offers a copy to another hospital: the record frozen, the transfer proposed. */
function offerOf(
  ledger: CellLedger,
  actor: Buffer,
  { recordId, contentHash }: LedgerRecord,
  toHospital: number,
): Intent[] {
  const transferId = randomBytes(32);
  const freeze = parameters.freeze({ transferId, version: 1, contentHash });
  const propose = parameters.propose({
    ...{ transferId, toHospital, version: 1, contentHash, mode: 0, ttl: WEEK_SECONDS },
    proof: randomBytes(32),
  });
  return [
    ledger.sign(actor, { operation: Operation.FREEZE, recordId, parameters: freeze }),
    ledger.sign(actor, { operation: Operation.PROPOSE, recordId, parameters: propose }),
  ];
}

/** The connector has one gas limit for `execute`: that of its dearest use. */
function mostGas(ledger: CellLedger, actor: Buffer, receiver: number): number {
  const record = newRecord(1);
  return Math.max(
    transactionGas(offerOf(ledger, actor, record, receiver)),
    transactionGas([openingOf(ledger, actor, record)]),
  );
}

function execute(intents: Intent[]): object {
  const tuples = intents.map((intent) => [
    ...[intent.operation, toHex(intent.requestId), toHex(intent.recordId), toHex(intent.parameters)],
    ...[toHex(intent.actor), intent.deadline, toHex(intent.authContext), toHex(intent.signature)],
  ]);
  return { contract: CONTRACT, verb: 'execute', args: [tuples] };
}
