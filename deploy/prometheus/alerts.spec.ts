import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { Anchoring } from '../../apps/gateway/src/anchors/anchoring.service.js';
import { AnchorsMetrics } from '../../apps/gateway/src/anchors/anchors.metrics.js';
import type { FollowStore } from '../../apps/gateway/src/anchors/follow.store.js';
import type { AnchorIncidents } from '../../apps/gateway/src/anchors/incidents.service.js';
import type { AccessLogChainStore } from '../../apps/gateway/src/audit/access-log-chain.store.js';
import { AccessLogMetrics } from '../../apps/gateway/src/audit/access-log-metrics.js';
import type { GatewayEnv } from '../../apps/gateway/src/gateway.env.js';
import { Metrics } from '../../apps/gateway/src/management/metrics.js';
import { WritePathMetrics } from '../../apps/gateway/src/management/write-path.metrics.js';
import type { WritePathStore } from '../../apps/gateway/src/management/write-path.store.js';
import { WebhooksMetrics } from '../../apps/gateway/src/webhooks/webhooks.metrics.js';
import type { WebhooksStore } from '../../apps/gateway/src/webhooks/webhooks.store.js';
import { IndexerMetrics } from '../../apps/indexer/src/health/metrics.js';
import type { Submission } from '../../libs/chain-client/src/submission/submission.js';
import type { NetworksConfig } from '../../libs/platform/src/networks.js';

interface Rule {
  alert: string;
  expr: string;
  for: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

const root = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const { groups } = parse(read('deploy/prometheus/alerts.yml')) as { groups: { name: string; rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const pages = readdirSync(join(root, 'docs/runbook')).filter((file) => file !== 'README.md');

/** Labels of every metric both programs have, by name. */
function metrics(): Map<string, string[]> {
  const gateway = new Metrics();
  new WritePathMetrics({} as WritePathStore, {} as Submission, {} as GatewayEnv, gateway);
  new WebhooksMetrics({} as WebhooksStore, gateway);
  new AccessLogMetrics({} as AccessLogChainStore, gateway);
  new AnchorsMetrics(
    {} as Anchoring,
    {} as FollowStore,
    {} as AnchorIncidents,
    {} as NetworksConfig,
    {} as GatewayEnv,
    gateway,
  );
  const indexer = new IndexerMetrics();
  indexer.observe([]);
  const all = [gateway.registry, indexer.registry].flatMap((registry) => registry.getMetricsAsArray());
  return new Map(all.map((metric) => [metric.name, (metric as unknown as { labelNames: string[] }).labelNames]));
}

/** Pages that log lines with an alarm name. */
function alarmsOfTheLog(): { file: string; page: string | undefined }[] {
  return ['apps', 'libs', 'deploy'].flatMap((folder) =>
    (readdirSync(join(root, folder), { recursive: true }) as string[])
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts') && !/(^|\/)(node_modules|dist)\//.test(file))
      .flatMap((file) =>
        [...read(join(folder, file)).matchAll(/alarm: true(?:,\s*runbook: '([a-z-]+)')?/g)].map((match) => ({
          file: join(folder, file),
          page: match[1],
        })),
      ),
  );
}

describe('the alert rules', () => {
  it('are rules as Prometheus reads them, each with a name of its own', () => {
    expect(groups.map(({ name }) => name)).toEqual([...new Set(groups.map(({ name }) => name))]);
    expect(rules.length).toBeGreaterThan(0);
    for (const rule of rules) {
      expect(Object.keys(rule).sort(), rule.alert).toEqual(['alert', 'annotations', 'expr', 'for', 'labels']);
      expect(rule.alert).toMatch(/^[A-Z][A-Za-z]+$/);
      expect(rule.for, rule.alert).toMatch(/^\d+[smh]$/);
      expect(['page', 'ticket'], rule.alert).toContain(rule.labels.severity);
      expect(rule.annotations.summary, rule.alert).toMatch(/\.$/);
      const depth = [...rule.expr].reduce((open, sign) => open + (sign === '(' ? 1 : sign === ')' ? -1 : 0), 0);
      expect(depth, rule.expr).toBe(0);
    }
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  });

  it('name metrics and labels that there are', () => {
    const known = metrics();
    for (const { alert, expr, annotations } of rules) {
      const named = [...expr.matchAll(/\bemr_[a-z_]+/g)].map(([name]) => name);
      expect(named.length, alert).toBeGreaterThan(0);
      const labels = [
        ...[...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list]) => list!.split(/,\s*/)),
        ...[...expr.matchAll(/\{([^}]*)\}/g)].flatMap(([, list]) =>
          list!.split(',').map((one) => one.split(/[=!~]/)[0]!),
        ),
      ];
      const told = [...annotations.summary!.matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label!);
      for (const name of named) {
        expect([...known.keys()], alert).toContain(name);
        for (const label of [...labels, ...told]) expect(known.get(name), `${alert} ${label}`).toContain(label);
      }
      // What an aggregation drops can't be told.
      if (/by \(/.test(expr)) for (const label of told) expect(labels, alert).toContain(label);
    }
  });

  it('lead to a page of the runbook each, as every alarm of the log does, and no page is without an alarm', () => {
    const fromRules = rules.map(({ alert, annotations }) => {
      expect(annotations.runbook_url, alert).toMatch(/^docs\/runbook\/[a-z-]+\.md$/);
      return annotations.runbook_url!.slice('docs/runbook/'.length);
    });
    const logged = alarmsOfTheLog();
    expect(logged.length).toBeGreaterThan(4);
    for (const { file, page } of logged) expect(page, `${file} has an alarm without a page`).toBeDefined();
    const wanted = new Set([...fromRules, ...logged.map(({ page }) => `${page}.md`)]);
    expect([...wanted].sort()).toEqual([...pages].sort());
  });
});

describe('the runbook', () => {
  it.each(pages)('%s says what an operator needs at night', (page) => {
    const text = read(`docs/runbook/${page}`);
    expect([...text.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading)).toEqual([
      'Symptom',
      'What it means',
      'Look at',
      'Do',
      'Wake somebody',
    ]);
    const alert = rules.find(({ annotations }) => annotations.runbook_url!.endsWith(`/${page}`));
    if (alert) expect(text).toContain(`\`${alert.alert}\``);
  });

  it('lists every page, and links only to what is there', () => {
    const index = read('docs/runbook/README.md');
    for (const page of pages) expect(index).toContain(`](${page})`);
    for (const { alert } of rules) expect(index).toContain(`\`${alert}\``);
    for (const page of [...pages, 'README.md']) {
      for (const [, link] of read(`docs/runbook/${page}`).matchAll(/\]\(([a-z-]+\.md)\)/g)) {
        expect(pages, `${page} links to ${link}`).toContain(link);
      }
    }
  });

  it('names only routes that the gateway has', () => {
    const controllers = ['signers', 'operations', 'audit', 'hospitals', 'networks', 'peers', 'webhooks'].map(
      (feature) => read(`apps/gateway/src/${feature}/${feature}.controller.ts`),
    );
    const routes = controllers.flatMap((source) => {
      const base = /@Controller\('([^']+)'\)/.exec(source)![1]!;
      return [...source.matchAll(/@(Get|Post|Delete)\((?:'([^']*)')?\)/g)].map(
        ([, method, path]) => `${method!.toUpperCase()} /${[base, path].filter(Boolean).join('/')}`,
      );
    });
    const shape = (route: string) => route.replace(/(\/)(\d+|<[a-z]+>|\{[a-z]+\}|:[a-z]+)/g, '$1:x');
    const known = new Set(routes.map(shape));
    for (const page of [...pages, 'README.md']) {
      for (const [, method, path] of read(`docs/runbook/${page}`).matchAll(
        /\b(GET|POST|DELETE) (\/v1\/[^\s`'’,;)]+)/g,
      )) {
        expect([...known], page).toContain(shape(`${method} ${path}`));
      }
    }
  });
});
