import type { DataSource } from 'typeorm';
import { AuditStore, type SequenceRange } from '../../apps/gateway/src/audit/audit.store.js';
import type { EventFilter } from '../../apps/gateway/src/audit/event-filter.sql.js';
import { ExportSnapshot } from '../../apps/gateway/src/audit/export.store.js';
import { ProofStore } from '../../apps/gateway/src/audit/proof.store.js';
import type { NetworksConfig } from '../../libs/platform/src/networks.js';
import { NETWORKS, values } from './mirror.js';

/** One way to ask the store, and how many rows it may take up for it. */
export interface AuditQuery {
  name: string;
  ask(on: DataSource): Promise<unknown>;
  /** Rows its scans may read; 'whole': it is there to look at everything, by an index alone. */
  bound: number | 'whole' | 'smallest-filter';
  /** Of a search: what it narrows by. */
  filter?: EventFilter;
  /** Of a search: over a month of one network, and not over all there is. */
  month?: boolean;
}

/** Rows of a page, and the one that tells whether another follows. */
export const PAGE = 51;
/** A page's rows for each network, twice over for what is read beside them (a bitmap and its table, the outer side of a join). */
const PAGE_BOUND = 4 * PAGE * NETWORKS.length;

function storeOn(dataSource: DataSource): AuditStore {
  // The store reads nothing of the networks but their names.
  return new AuditStore(dataSource, { networks: NETWORKS.map((name) => ({ name })) } as NetworksConfig);
}

type FilterValues = { [K in keyof Required<EventFilter>]: NonNullable<EventFilter[K]>[] };

/** For every field of the filter what is common and what is rare: a field added to the store must be added here to compile. */
const filterValues: FilterValues = {
  recordId: [values.busyRecord, values.record(3)],
  recordIds: [
    [values.busyRecord, values.record(1)],
    [values.record(2), values.record(3)],
  ],
  identifierIndex: [values.patient(0), values.patient(1)],
  account: [values.account(0), values.account(1)],
  actor: [values.device, values.retired, values.actor(7)],
  device: [values.device, values.actor(7)],
  type: ['RecordQueried', 'RecordAmended', 'AccessDenied', 'TransferProposed', 'HospitalRegistered', 'RecordFrozen'],
  denied: [true, false],
  purpose: [1, 2, 5, 9],
};

/** Every method of the store, with every way to use it: a method that is added must be added here to compile. */
export function auditQueries(rows: number): AuditQuery[] {
  const local = Math.floor(rows * 0.8);
  const methods: { [K in keyof AuditStore]: Omit<AuditQuery, 'name'>[] } = {
    standing: [
      { ask: (on) => storeOn(on).standing([{ network: 'local', block: '7', hash: Buffer.alloc(32) }]), bound: 20 },
    ],
    headBefore: [{ ask: (on) => storeOn(on).headBefore('local', `${Math.floor(local / 2)}`), bound: 20 }],
    recordsOfPatient: [{ ask: (on) => storeOn(on).recordsOfPatient(values.patient(1)), bound: 20 }],
    after: [
      { ask: (on) => storeOn(on).after('local', '1000', '1500', undefined, PAGE), bound: 2 * PAGE },
      { ask: (on) => storeOn(on).after('local', '1000', '1500', ['RecordFrozen'], PAGE), bound: 500 },
    ],
    confirmed: [{ ask: (on) => storeOn(on).confirmed(), bound: 20 }],
    firstSequenceAt: [
      { ask: (on) => storeOn(on).firstSequenceAt('local', 1_740_000_000, BigInt(local)), bound: 4 },
      { ask: (on) => storeOn(on).firstSequenceAt('local', 9_740_000_000, BigInt(local)), bound: 4 },
    ],
    event: [{ ask: (on) => storeOn(on).event('local', `${Math.floor(local / 2)}`), bound: 20 }],
    isOfAccount: [{ ask: (on) => storeOn(on).isOfAccount(values.busyRecord, values.account(0)), bound: 20 }],
    integrity: [{ ask: (on) => storeOn(on).integrity(), bound: 'whole' }],
    incidents: [{ ask: (on) => storeOn(on).incidents('local'), bound: 200 }],
    gaps: [{ ask: (on) => storeOn(on).gaps('local', `${local}`), bound: 'whole' }],
    events: searches(rows),
  };
  return Object.entries({ ...methods, ...proofQueries(local), ...exportQueries(local) }).flatMap(([method, uses]) =>
    uses.map((use, index) => ({
      ...use,
      name: [
        method,
        use.filter ? nameOf(use.filter) : uses.length > 1 ? `${index + 1}` : '',
        use.month ? 'in a month' : '',
      ]
        .filter(Boolean)
        .join(' '),
    })),
  );
}

function proofQueries(local: number): Record<string, Omit<AuditQuery, 'name'>[]> {
  const [sequence, block] = [`${Math.floor(local / 2)}`, `${Math.floor(local / 20)}`];
  const store = (on: DataSource) => new ProofStore(on);
  const later = `${BigInt(block) + 99n}`;
  const methods: { [K in keyof ProofStore as `proof.${K}`]: Omit<AuditQuery, 'name'>[] } = {
    'proof.event': [{ ask: (on) => store(on).event('local', sequence), bound: 20 }],
    'proof.before': [{ ask: (on) => store(on).before('local', block), bound: 20 }],
    'proof.eventsOf': [{ ask: (on) => store(on).eventsOf('local', block), bound: 40 }],
    'proof.checkpointFrom': [{ ask: (on) => store(on).checkpointFrom('local', block, `${local}`), bound: 20 }],
    'proof.historyOf': [{ ask: (on) => store(on).historyOf('local', values.busyRecord, block, PAGE), bound: 4 * PAGE }],
    'proof.finalBlock': [{ ask: (on) => store(on).finalBlock('local'), bound: 20 }],
    'proof.headers': [{ ask: (on) => store(on).headers('local', block, later), bound: 200 }],
  };
  return methods;
}

/** An export reads all that it is asked for, a few rows at a time, along an index and in its order: nothing is sorted. */
function exportQueries(local: number): Record<string, Omit<AuditQuery, 'name'>[]> {
  const from = (filter: EventFilter) => async (on: DataSource) => {
    const query = async (sql: string, given?: unknown[]) => {
      const rows = sql.startsWith('DECLARE')
        ? await on.query(`${sql.replace(/^DECLARE.* FOR /, '')} LIMIT 500`, given)
        : [];
      return { rows: sql.startsWith('FETCH') ? [] : rows };
    };
    const snapshot = new ExportSnapshot({ query } as never);
    const range = { network: 'local', from: '1', to: `${local + 1}` };
    for await (const _rows of snapshot.events(range, filter)) break;
  };
  return {
    'export.events': [
      { ask: from({}), bound: 2_000 },
      { ask: from({ recordId: values.record(3) }), bound: 2_000 },
      { ask: from({ actor: values.actor(7) }), bound: 2_000 },
    ],
  };
}

/** Every single filter, every two of them together, and all at once; over all time, and over a month of one network. */
function searches(rows: number): Omit<AuditQuery, 'name'>[] {
  const keys = Object.keys(filterValues) as (keyof EventFilter)[];
  const single = keys.flatMap((key) => filterValues[key].map((value): EventFilter => ({ [key]: value })));
  const pairs = single.flatMap((one, index) =>
    single
      .slice(index + 1)
      .flatMap((other) => (Object.keys(one)[0] === Object.keys(other)[0] ? [] : [{ ...one, ...other }])),
  );
  const everything = Object.fromEntries(keys.map((key) => [key, filterValues[key][0]])) as EventFilter;
  const shares = { local: Math.floor(rows * 0.8), global: rows - Math.floor(rows * 0.8) };
  const all = NETWORKS.map((network): SequenceRange => ({ network, from: 1n, to: BigInt(shares[network] + 1) }));
  const month: SequenceRange[] = [
    { network: 'local', from: BigInt(Math.floor(shares.local / 2)), to: BigInt(Math.floor(shares.local * 0.54)) },
  ];
  const search = (filter: EventFilter, ranges: SequenceRange[], bound: AuditQuery['bound']) => ({
    ask: (on: DataSource) => storeOn(on).events(ranges, filter, PAGE),
    ...{ bound, filter, month: ranges === month },
  });
  return [
    search({}, all, PAGE_BOUND),
    search({}, month, PAGE_BOUND),
    ...single.flatMap((filter) => [search(filter, all, boundOf(filter)), search(filter, month, boundOf(filter))]),
    ...[...pairs, everything].map((filter) => search(filter, all, 'smallest-filter')),
  ];
}

/** A patient has two records here: a page of each is read, and the patient's own rows. */
function boundOf(filter: EventFilter): number {
  return filter.recordIds || filter.identifierIndex || filter.account ? 3 * PAGE_BOUND : PAGE_BOUND;
}

function nameOf(filter: EventFilter): string {
  const text = Object.entries(filter).map(([key, value]) => {
    return `${key}=${Buffer.isBuffer(value) ? value.toString().replace(/\.+$/, '') : value}`;
  });
  return text.join(' ') || 'without a filter';
}

/**
 * Rows the query may read. Of two filters that are each common and rarely true together, no index knows both: the events of the rarer one
 * are what is looked through.
 */
export async function rowsAllowed(dataSource: DataSource, { bound, filter }: AuditQuery): Promise<number> {
  if (bound === 'whole') return Number.POSITIVE_INFINITY;
  if (typeof bound === 'number') return bound;
  // Whatever else is asked for, several records come first: no statistics know how many events those are.
  const { recordIds, identifierIndex, account, ...others } = filter ?? {};
  const narrowing = recordIds || identifierIndex || account ? { recordIds, identifierIndex, account } : others;
  const given = Object.entries(narrowing).filter(([, value]) => value !== undefined);
  const sizes = await Promise.all(given.map(([key, value]) => sizeOf(dataSource, { [key]: value } as EventFilter)));
  return PAGE_BOUND * 3 + 2 * Math.min(...sizes);
}

const counted = new Map<string, number>();

/** How many events one filter alone leaves. */
async function sizeOf(dataSource: DataSource, filter: EventFilter): Promise<number> {
  const known = counted.get(nameOf(filter));
  if (known !== undefined) return known;
  const sent: { sql: string; values: unknown[] }[] = [];
  const ranges = NETWORKS.map((network): SequenceRange => ({ network, from: 1n, to: 2n ** 62n }));
  const note = { query: async (sql: string, given: unknown[]) => void sent.push({ sql, values: given }) };
  await storeOn(note as unknown as DataSource).events(ranges, filter, Number.MAX_SAFE_INTEGER);
  const [row] = await dataSource.query(`SELECT count(*) FROM (${sent[0]?.sql}) AS found`, sent[0]?.values);
  counted.set(nameOf(filter), Number(row.count));
  return Number(row.count);
}
