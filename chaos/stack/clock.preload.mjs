// Loaded into a gateway by --import: its clock is off by the milliseconds that stand in the file named in this module's address.
// Only what this process reads of the time jumps: Postgres, the node and the timers of the event loop keep theirs.
import { readFileSync } from 'node:fs';

const file = new URL(import.meta.url).searchParams.get('file');
let offset = 0;
const read = () => {
  try {
    offset = Number(readFileSync(file, 'utf8')) || 0;
  } catch {
    offset = 0;
  }
};
read();
setInterval(read, 50).unref();

const RealDate = Date;
const now = RealDate.now.bind(RealDate);
globalThis.Date = class OffsetDate extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(now() + offset);
    else super(...args);
  }

  static now() {
    return now() + offset;
  }
};
