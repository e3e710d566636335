'use strict';
// Caliper loads this file into its worker, with require: hence CommonJS.
const { appendFileSync, readFileSync } = require('node:fs');

/** Events by which the ledger says that an act had no effect, though its transaction was mined. */
const REFUSALS = ['AccessDenied', 'BadSignature', 'Duplicate', 'Mismatch'];

/**
 * Sends what was prepared for the round, one request after the other, through whichever connector Caliper runs, and writes a line for
 * each as it ends: when it was sent (ms since 1970), how long it took (ms), whether it was confirmed. Caliper's own report has neither
 * percentiles nor an eye for a refusal inside a successful transaction.
 */
class PreparedRequests {
  async initializeWorkloadModule(_worker, _workers, _round, { requests, samples }, connector) {
    this.requests = JSON.parse(readFileSync(requests, 'utf8'));
    this.samples = samples;
    this.connector = connector;
    this.next = 0;
  }

  async submitTransaction() {
    const request = this.requests[this.next];
    this.next += 1;
    const at = Date.now();
    const began = performance.now();
    const status = await this.connector.sendRequests(request);
    const ms = performance.now() - began;
    const events = status.GetResult()?.events ?? {};
    const refused = REFUSALS.find((name) => events[name] !== undefined);
    const ok = status.IsCommitted() && refused === undefined;
    const why = ok ? undefined : (told(refused, events[refused]) ?? status.GetErrMsg()[0] ?? 'failed');
    appendFileSync(this.samples, `${JSON.stringify({ at, ms: Math.round(ms * 10) / 10, ok, why })}\n`);
  }

  async cleanupWorkloadModule() {}
}

/** The refusal's name, and its reason's code (`Reasons` of the ledger) where it has one. */
function told(name, event) {
  const reason = event?.returnValues?.reason;
  return reason === undefined ? name : `${name} ${reason}`;
}

module.exports.createWorkloadModule = () => new PreparedRequests();
