import { DataSource } from 'typeorm';
import { GuardedClient, impatientClient } from './guarded-client.js';
import { GatewayBaseline1000 } from './migrations/1000-gateway-baseline.js';
import { MirrorBaseline1001 } from './migrations/1001-mirror-baseline.js';
import { TransferTakeover1002 } from './migrations/1002-transfer-takeover.js';
import { AssignedTransactions1003 } from './migrations/1003-assigned-transactions.js';
import { OperatorTools1004 } from './migrations/1004-operator-tools.js';
import { WritePathSpeed1005 } from './migrations/1005-write-path-speed.js';
import { NodeReader1006 } from './migrations/1006-node-reader.js';
import { MirrorIncidents1007 } from './migrations/1007-mirror-incidents.js';
import { AuditAtVolume1009 } from './migrations/1009-audit-at-volume.js';
import { AuditExports1010 } from './migrations/1010-audit-exports.js';
import { AccessLogChain1011 } from './migrations/1011-access-log-chain.js';
import { Anchors1013 } from './migrations/1013-anchors.js';
import { Webhooks1014 } from './migrations/1014-webhooks.js';
import { MirrorSpeed1015 } from './migrations/1015-mirror-speed.js';
import { AccessLogIncidents1016 } from './migrations/1016-access-log-incidents.js';

export interface DataSourceSettings {
  /** postgres://user:password@host:port/database */
  url: string;
  /** Shown in pg_stat_activity. */
  applicationName: string;
  /** Schemas that unqualified names resolve in, e.g. `mirror` for the indexer. Default: the role's own. */
  searchPath?: string;
  /** Connections at most, default 10. */
  poolSize?: number;
  /** A statement that takes longer is given up, and its connection with it if the server says nothing at all. Default: none is. */
  statementLimitMs?: number;
  /** Told of errors on idle connections (a restarted server); the pool replaces them by itself. */
  onPoolError?: (error: Error) => void;
}

/** A TypeORM data source, not yet initialised. It never synchronises: the schema comes from the migrations listed here. */
export function createDataSource(settings: DataSourceSettings): DataSource {
  return new DataSource({
    type: 'postgres',
    url: settings.url,
    applicationName: settings.applicationName,
    poolSize: settings.poolSize ?? 10,
    connectTimeoutMS: 5_000,
    poolErrorHandler: (error: Error) => settings.onPoolError?.(error),
    extra: {
      keepAlive: true,
      ...(settings.statementLimitMs === undefined ? { Client: GuardedClient } : limitsOf(settings.statementLimitMs)),
      ...(settings.searchPath === undefined ? {} : { options: `-c search_path=${settings.searchPath}` }),
    },
    // Where TypeORM keeps its table of migrations; all of our SQL names its schema itself or resolves by search_path.
    schema: 'public',
    migrations: [
      GatewayBaseline1000,
      MirrorBaseline1001,
      TransferTakeover1002,
      AssignedTransactions1003,
      OperatorTools1004,
      WritePathSpeed1005,
      NodeReader1006,
      MirrorIncidents1007,
      AuditAtVolume1009,
      AuditExports1010,
      AccessLogChain1011,
      Anchors1013,
      Webhooks1014,
      MirrorSpeed1015,
      AccessLogIncidents1016,
    ],
    migrationsTableName: 'migration',
    synchronize: false,
    logging: false,
  });
}

/** How much later than the server this side gives up: a server that is alive speaks for itself, and keeps its connection. */
const GRACE_MS = 2_000;

function limitsOf(statementLimitMs: number) {
  return { statement_timeout: statementLimitMs, Client: impatientClient(statementLimitMs + GRACE_MS) };
}
