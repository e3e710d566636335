import { Injectable } from '@nestjs/common';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** What /metrics shows. A registry of its own: two gateways may live in one process. Labels never carry ids. */
@Injectable()
export class Metrics {
  readonly registry = new Registry();

  readonly #requests = new Histogram({
    name: 'emr_http_request_seconds',
    help: 'Time from a request to the end of its answer.',
    labelNames: ['route', 'method', 'status'],
    buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 30],
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  observeRequest(route: string, method: string, status: number, seconds: number): void {
    this.#requests.observe({ route, method, status }, seconds);
  }

  /** A value read whenever /metrics is. What can't be read now is left out, and takes no other metric with it. */
  gauge(name: string, help: string, labelNames: string[], read: (gauge: Gauge) => Promise<void>): void {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [this.registry],
      async collect() {
        // An old value would hide that there is no new one.
        this.reset();
        await read(this as Gauge).catch(() => undefined);
      },
    });
  }

  /** A count kept elsewhere, read whenever /metrics is: `read` adds the whole of it. */
  counter(name: string, help: string, labelNames: string[], read: (counter: Counter) => Promise<void>): void {
    new Counter({
      name,
      help,
      labelNames,
      registers: [this.registry],
      async collect() {
        this.reset();
        await read(this as Counter).catch(() => undefined);
      },
    });
  }
}
