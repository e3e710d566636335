import { Interface } from 'ethers';
import type { Client } from 'pg';
import { abi } from '../../../libs/contracts/src/generated/emr-ledger.js';
import type { LedgerLoad } from './ledger-load.js';

/** One sequenced event, as the chain or as the mirror tells it. */
export interface EventLine {
  sequence: string;
  type: string;
  block: string;
  logIndex: number;
  transaction: string;
  requestId: string;
  recordSequence: string;
}

/** Every sequenced event by eth_getLogs and ethers: another way than the indexer's, to the same end. */
export async function chainEvents(load: LedgerLoad, contract: string): Promise<EventLine[]> {
  const ledger = new Interface(abi as never);
  const logs = await load.request<
    { topics: string[]; data: string; blockHash: string; logIndex: string; transactionHash: string }[]
  >('eth_getLogs', [{ address: contract, fromBlock: '0x0', toBlock: 'latest' }]);
  return logs.flatMap((log) => {
    const event = ledger.parseLog(log);
    if (!event?.fragment.inputs.some(({ name }) => name === 'recordSequence')) return [];
    return [
      {
        sequence: `${event.args.sequence}`,
        type: event.name,
        block: log.blockHash,
        logIndex: Number(log.logIndex),
        transaction: log.transactionHash,
        requestId: event.args.requestId,
        recordSequence: `${event.args.recordSequence}`,
      },
    ];
  });
}

export async function mirroredEvents(sql: Client, network = 'local'): Promise<EventLine[]> {
  const { rows } = await sql.query<EventLine>(
    `SELECT sequence, type, '0x' || encode(block_hash, 'hex') AS block, log_index AS "logIndex",
       '0x' || encode(transaction_hash, 'hex') AS transaction, '0x' || encode(request_id, 'hex') AS "requestId",
       record_sequence AS "recordSequence"
     FROM mirror.emr_event WHERE network = $1 ORDER BY mirror.emr_event.sequence`,
    [network],
  );
  return rows;
}
