/**
 * Reads the items of an RLP list one after another: nothing is copied, and there is neither a view nor a number of what isn't asked for.
 * Source: Yellow Paper, appendix B. Whether it is the one encoding of its content isn't asked: whoever needs that has a hash over the bytes.
 */
export class RlpReader {
  /** @param end behind the last item */
  private constructor(
    private readonly bytes: Buffer,
    private at: number,
    private readonly end: number,
  ) {}

  /**
   * The items of the list that begins at `start` and ends with `bytes`.
   * @throws RangeError when there is no list, or one that is shorter or longer than it says
   */
  static over(bytes: Buffer, start = 0): RlpReader {
    const whole = new RlpReader(bytes, start, bytes.length);
    const items = whole.list();
    if (whole.more) throw new RangeError('RLP: a list of another length than it says');
    return items;
  }

  /** Whether there is a next item. */
  get more(): boolean {
    return this.at < this.end;
  }

  /** Whether the next item is a list. */
  get atList(): boolean {
    return this.first() >= 0xc0;
  }

  /** The next item as it is encoded, a view. @throws RangeError when there is none, or not the whole of it */
  item(): Buffer {
    const start = this.at;
    this.skip();
    return this.bytes.subarray(start, this.at);
  }

  /** What the next item holds, a view. @throws RangeError as `item`, and when it is a list */
  string(): Buffer {
    const start = this.enter('string');
    return this.bytes.subarray(start, this.at);
  }

  /** What all further items hold. @throws RangeError as `string` */
  strings(): Buffer[] {
    const strings: Buffer[] = [];
    while (this.more) strings.push(this.string());
    return strings;
  }

  /** The next item, a byte string, as an unsigned integer; the empty one is 0. @throws RangeError as `string` */
  integer(): bigint {
    const start = this.enter('string');
    if (this.at - start > 6) return BigInt(`0x${this.bytes.toString('hex', start, this.at)}`);
    return BigInt(this.number(start, this.at));
  }

  /** The items of the next item. @throws RangeError as `item`, and when it is no list */
  list(): RlpReader {
    const start = this.enter('list');
    return new RlpReader(this.bytes, start, this.at);
  }

  /** Passes over so many items. @throws RangeError as `item` */
  skip(count = 1): this {
    for (let left = count; left > 0; left--) this.enter(this.atList ? 'list' : 'string');
    return this;
  }

  /** How many items are left, which it passes over. @throws RangeError as `item` */
  count(): number {
    let count = 0;
    for (; this.more; count++) this.skip();
    return count;
  }

  /** Goes behind the next item. @returns where its content starts */
  private enter(kind: 'string' | 'list'): number {
    const first = this.first();
    const isList = first >= 0xc0;
    if (isList !== (kind === 'list')) throw new RangeError(`RLP: not a ${isList ? 'byte string' : 'list'}`);
    // As in a string's first byte: below 0x38 the length itself, above how many bytes of length follow.
    const code = isList ? first - 0xc0 : first - 0x80;
    let start = first < 0x80 ? this.at : this.at + 1;
    let length = first < 0x80 ? 1 : code;
    if (code >= 0x38) {
      const width = code - 0x37;
      if (width > 6 || start + width > this.end) throw new RangeError('RLP: a length that can not be');
      length = this.number(start, start + width);
      start += width;
    }
    if (start + length > this.end) throw new RangeError('RLP: an item reaches beyond its list');
    this.at = start + length;
    return start;
  }

  private first(): number {
    if (!this.more) throw new RangeError('RLP: an item is missing');
    return this.bytes[this.at] as number;
  }

  /** Big-endian, of at most six bytes. */
  private number(from: number, to: number): number {
    let value = 0;
    for (let at = from; at < to; at++) value = value * 256 + (this.bytes[at] as number);
    return value;
  }
}
