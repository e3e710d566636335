/** Looks that carry nothing but the parameters of their route: `@Route({ look })` has them logged, features need do nothing. */
const plainLooks = [
  'actors',
  'hospitals',
  'integrity',
  'networks',
  'peers',
  'signers',
  'teams',
  'users',
  'webhooks',
] as const;

/** Looks that features log themselves, with the record they are about, and what was found. */
const featureLooks = [
  'record-metadata',
  'record-list',
  'record-search',
  'relation',
  'grants',
  'operation',
  'operation-list',
  'transfer',
  'transfer-list',
  'audit',
  'audit-search',
  'access-log',
  'disclosures',
  'record-accesses',
  /** Somebody looked how their own query stands. */
  'query',
  /** Content left, for the actor who asked. Written, like the next one, by the statement that decides it. */
  'release',
  /** A confirmed query opened nothing any more: it had expired, or what it stood on no longer held. */
  'release-refused',
  /** Content left for another hospital, whose actor's query the global ledger confirmed. */
  'release-to-hospital',
  /** A transfer's package left for its receiver. */
  'transfer-package',
  /** A log-in was made to stand for a record's patient; `detail.account` is its blind index. */
  'account-link',
  /** Somebody asked for an operation to be withdrawn; whether it was, the operation tells. `detail.own`: whose it was. */
  'operation-cancellation',
] as const;

type PlainLook = (typeof plainLooks)[number];
export type LookKind = PlainLook | (typeof featureLooks)[number];

/** Every kind of entry in the access log: looks that are no acts on the ledger, and releases of content. */
export const lookKinds = [...plainLooks, ...featureLooks] as [LookKind, ...LookKind[]];

export function isPlainLook(kind: LookKind): kind is PlainLook {
  return (plainLooks as readonly string[]).includes(kind);
}
