import { bloomOf } from '../../../../libs/proof/src/bloom.js';
import { joinRlp } from '../../../../libs/proof/src/rlp.js';
import { RlpReader } from '../../../../libs/proof/src/rlp-reader.js';
import type { FetchedBlock, FetchedLog, FetchedReceipt } from './chain-source.js';
import { EncodedTransaction, orMalformed, parseHeader, readLogs, signedBytes } from './raw-block.js';

/** What geth's database holds of a block: RLP each. */
export interface StoredBlock {
  /** The hash that it is filed under; the verifier holds the header against it. */
  hash: Buffer;
  header: Buffer;
  /** [transactions, ommers] */
  body: Buffer;
  /** A list of [status, cumulative gas, logs]: geth leaves out what follows from the rest. */
  receipts: Buffer;
}

/** In the shape of a block told in JSON. @throws MalformedAnswer */
export function joinStoredBlock({ hash, header, body, receipts }: StoredBlock): FetchedBlock {
  return orMalformed(() => {
    const transactions = signedBytes(RlpReader.over(body).list()).map((encoded) => new EncodedTransaction(encoded));
    const list = RlpReader.over(receipts);
    const own: StoredReceipt[] = [];
    while (list.more) own.push(new StoredReceipt(list.item(), transactions[own.length]?.type ?? 0));
    return { hash, header: parseHeader(header), encodedHeader: header, transactions, receipts: own };
  });
}

/** A receipt that is read from its bytes each time somebody asks. Its type is its transaction's, its bloom that of its logs. */
class StoredReceipt implements FetchedReceipt {
  readonly transactionHash = undefined;
  private bloom: Buffer | undefined;

  constructor(
    private readonly stored: Buffer,
    readonly type: number,
  ) {
    if (this.fields.count() !== 3) throw new RangeError('a receipt with another number of fields');
  }

  get status(): number {
    return Number(this.fields.integer());
  }
  get cumulativeGasUsed(): bigint {
    return this.fields.skip(1).integer();
  }
  get logsBloom(): Buffer {
    this.bloom ??= bloomOf(this.logs);
    return this.bloom;
  }
  get logCount(): number {
    return this.fields.skip(2).list().count();
  }
  get logs(): FetchedLog[] {
    return readLogs(this.fields.skip(2).list());
  }
  get encoded(): Buffer {
    const { fields } = this;
    const body = joinRlp([fields.item(), fields.item(), BLOOM_PREFIX, this.logsBloom, fields.item()]);
    return this.type === 0 ? body : Buffer.concat([Buffer.of(this.type), body]);
  }

  private get fields(): RlpReader {
    return RlpReader.over(this.stored);
  }
}

/** RLP of a byte string of 256. */
const BLOOM_PREFIX = Buffer.from('b90100', 'hex');
