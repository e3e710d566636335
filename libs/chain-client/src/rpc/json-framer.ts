const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

export interface FramerOptions {
  /** Longest value accepted: beyond it the stream is broken or hostile. */
  limitBytes?: number;
  /** Give what a top-level array holds one by one, each as soon as it is whole, instead of the array: the answers of a batch. */
  batchesApart?: boolean;
}

/**
 * Cuts a byte stream of concatenated JSON objects and arrays into values. Nothing is assumed about how the stream is chunked or what
 * stands between values (geth writes a newline, others nothing). Scalars at the top level don't occur in JSON-RPC and are skipped.
 */
export class JsonFramer {
  private held: Buffer[] = [];
  private heldBytes = 0;
  private depth = 0;
  private inString = false;
  private escaped = false;
  private readonly limitBytes: number;
  private readonly batchesApart: boolean;

  constructor({ limitBytes = 512 * 1024 * 1024, batchesApart = false }: FramerOptions = {}) {
    this.limitBytes = limitBytes;
    this.batchesApart = batchesApart;
  }

  /** Takes the next chunk and returns the values it completes, oldest first. @throws RangeError when a value outgrows the limit. */
  push(chunk: Buffer): Buffer[] {
    const values: Buffer[] = [];
    let start = this.depth > 0 ? 0 : -1;
    let at = 0;
    while (at < chunk.length) {
      if (this.inString) {
        at = this.skipString(chunk, at);
        continue;
      }
      const byte = chunk[at]!;
      if (byte === QUOTE) {
        this.inString = true;
      } else if (byte === OPEN_BRACE || (byte === OPEN_BRACKET && !(this.batchesApart && this.depth === 0))) {
        if (this.depth === 0) start = at;
        this.depth += 1;
      } else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && this.depth > 0) {
        this.depth -= 1;
        if (this.depth === 0) {
          values.push(this.complete(chunk.subarray(start, at + 1)));
          start = -1;
        }
      }
      at += 1;
    }
    if (start >= 0) this.hold(chunk.subarray(start));
    return values;
  }

  // Most of a response is hex inside strings: jump from quote to quote instead of looking at every byte.
  private skipString(chunk: Buffer, from: number): number {
    let at = from;
    while (at < chunk.length) {
      if (this.escaped) {
        this.escaped = false;
        at += 1;
        continue;
      }
      const quote = chunk.indexOf(QUOTE, at);
      const end = quote === -1 ? chunk.length : quote;
      const backslash = chunk.subarray(at, end).indexOf(BACKSLASH);
      if (backslash !== -1) {
        this.escaped = true;
        at += backslash + 1;
        continue;
      }
      if (quote === -1) return chunk.length;
      this.inString = false;
      return quote + 1;
    }
    return at;
  }

  private hold(part: Buffer): void {
    this.heldBytes += part.length;
    if (this.heldBytes > this.limitBytes) throw new RangeError(`a JSON value of more than ${this.limitBytes} bytes`);
    this.held.push(part);
  }

  private complete(last: Buffer): Buffer {
    if (this.held.length === 0) return last;
    const value = Buffer.concat([...this.held, last]);
    this.held = [];
    this.heldBytes = 0;
    return value;
  }
}
