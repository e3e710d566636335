import type { DataSource } from 'typeorm';
import { AuditStore, type SequenceRange } from '../../apps/gateway/src/audit/audit.store.js';
import type { EventFilter } from '../../apps/gateway/src/audit/event-filter.sql.js';
import type { PatientFilter } from '../../apps/gateway/src/audit/patient-records.sql.js';
import type { NetworksConfig } from '../../libs/platform/src/networks.js';
import { NETWORKS, values } from './mirror.js';

/** `recordIds` is for exports alone, which read all they find. */
type Filter = Omit<EventFilter, 'recordIds'> & PatientFilter;

/** One way to ask the store, and how many rows it may take up for it. */
export interface AuditQuery {
  name: string;
  ask(on: DataSource): Promise<unknown>;
  /** Rows its scans may read; 'whole': it is there to look at everything, by an index alone. */
  bound: number | 'whole' | 'smallest-filter';
  /** Of a search: what it narrows by. */
  filter?: Filter;
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

type FilterValues = { [K in keyof Required<Filter>]: NonNullable<Filter[K]>[] };

/** For every field of the filter what is common and what is rare: a field added to the store must be added here to compile. */
const filterValues: FilterValues = {
  recordId: [values.busyRecord, values.record(3)],
  identifierIndex: [values.patient(0), values.patient(1)],
  account: [values.account(0), values.account(1)],
  actor: [values.device, values.retired, values.actor(7)],
  device: [values.device],
  type: ['RecordQueried', 'RecordAmended', 'AccessDenied', 'TransferProposed', 'HospitalRegistered', 'RecordFrozen'],
  denied: [true, false],
  purpose: [1, 2, 5, 9],
};

/** Every method of the store, with every way to use it: a method that is added must be added here to compile. */
export function auditQueries(rows: number): AuditQuery[] {
  const local = Math.floor(rows * 0.8);
  const methods: { [K in keyof AuditStore]: Omit<AuditQuery, 'name'>[] } = {
    confirmed: [{ ask: (on) => storeOn(on).confirmed(), bound: 20 }],
    firstSequenceAt: [
      { ask: (on) => storeOn(on).firstSequenceAt('local', 1_740_000_000, BigInt(local)), bound: 4 },
      { ask: (on) => storeOn(on).firstSequenceAt('local', 9_740_000_000, BigInt(local)), bound: 4 },
    ],
    event: [{ ask: (on) => storeOn(on).event('local', `${Math.floor(local / 2)}`), bound: 20 }],
    after: [
      { ask: (on) => storeOn(on).after('local', `${Math.floor(local / 2)}`, `${local}`, undefined, 100), bound: 200 },
      // What is rare is looked for through what lies between.
      { ask: (on) => storeOn(on).after('local', `${local - 1_000}`, `${local}`, ['RecordFrozen'], 100), bound: 2_100 },
    ],
    standing: [
      { ask: (on) => storeOn(on).standing([{ network: 'local', block: '1000', hash: Buffer.alloc(32) }]), bound: 20 },
    ],
    headBefore: [{ ask: (on) => storeOn(on).headBefore('local', `${Math.floor(local / 2)}`), bound: 20 }],
    recordsOfPatient: [{ ask: (on) => storeOn(on).recordsOfPatient(values.patient(0)), bound: 20 }],
    isOfAccount: [{ ask: (on) => storeOn(on).isOfAccount(values.busyRecord, values.account(0)), bound: 20 }],
    integrity: [{ ask: (on) => storeOn(on).integrity(), bound: 'whole' }],
    incidents: [{ ask: (on) => storeOn(on).incidents('local'), bound: 200 }],
    gaps: [{ ask: (on) => storeOn(on).gaps('local', `${local}`), bound: 'whole' }],
    events: searches(rows),
  };
  return Object.entries(methods).flatMap(([method, uses]) =>
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

/** Every single filter, every two of them together, and all at once; over all time, and over a month of one network. */
function searches(rows: number): Omit<AuditQuery, 'name'>[] {
  const keys = Object.keys(filterValues) as (keyof Filter)[];
  const single = keys.flatMap((key) => filterValues[key].map((value): Filter => ({ [key]: value })));
  const pairs = single.flatMap((one, index) =>
    single
      .slice(index + 1)
      .flatMap((other) => (Object.keys(one)[0] === Object.keys(other)[0] ? [] : [{ ...one, ...other }])),
  );
  const everything = Object.fromEntries(keys.map((key) => [key, filterValues[key][0]])) as Filter;
  const shares = { local: Math.floor(rows * 0.8), global: rows - Math.floor(rows * 0.8) };
  const all = NETWORKS.map((network): SequenceRange => ({ network, from: 1n, to: BigInt(shares[network] + 1) }));
  const month: SequenceRange[] = [
    { network: 'local', from: BigInt(Math.floor(shares.local / 2)), to: BigInt(Math.floor(shares.local * 0.54)) },
  ];
  const search = (filter: Filter, ranges: SequenceRange[], bound: AuditQuery['bound']) => ({
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
function boundOf(filter: Filter): number {
  return filter.identifierIndex || filter.account ? 3 * PAGE_BOUND : PAGE_BOUND;
}

function nameOf(filter: Filter): string {
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
  // Whatever else is asked for, the patient comes first: no statistics know how many events that is.
  const { identifierIndex, account, ...others } = filter ?? {};
  const narrowing = identifierIndex || account ? { identifierIndex, account } : others;
  const given = Object.entries(narrowing).filter(([, value]) => value !== undefined);
  const sizes = await Promise.all(given.map(([key, value]) => sizeOf(dataSource, { [key]: value } as Filter)));
  return PAGE_BOUND * 3 + 2 * Math.min(...sizes);
}

const counted = new Map<string, number>();

/** How many events one filter alone leaves. */
async function sizeOf(dataSource: DataSource, filter: Filter): Promise<number> {
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
