import type { DemoReport } from './demo/demo.js';
import { demoUsers } from './provision.js';
import type { RunningStack } from './stack.js';

/** What a newcomer needs, as text for the terminal. */
export function summaryOf(stack: RunningStack, report: DemoReport | undefined, seconds: number): string {
  const lines: string[] = ['', `Two hospitals are up after ${seconds.toFixed(1)} s.`, ''];
  for (const hospital of stack.hospitals) {
    const { layout } = hospital;
    lines.push(`${capital(layout.title)} (number ${layout.id})`);
    lines.push(`  API and Swagger    ${hospital.api}/docs`);
    lines.push(`  metrics, queues    ${hospital.management}/metrics  ${hospital.management}/queues`);
    lines.push('  users, passwords');
    for (const { username } of report ? demoUsers[layout.letter] : demoUsers[layout.letter].slice(0, 1)) {
      lines.push(`    ${username.padEnd(20)} ${hospital.passwords[username]}`);
    }
    lines.push('');
  }
  lines.push(
    stack.chainKind === 'geth'
      ? `Nodes: geth ${stack.gethVersion}, Clique; each hospital a local one (period 0) and a global one (period 1), joined as peers`
      : 'Nodes: Anvil in place of geth. No consensus, no peers: for trying things out only',
  );
  if (report) {
    lines.push(
      '',
      report.resumed ? 'Everything was there from an earlier start, and still is:' : 'Done through the REST API:',
    );
    lines.push(
      `  ${report.opened} records opened at hospital A, ${report.queried} queries confirmed ` +
        `(${report.compared} now answered, byte for byte what was uploaded), ${report.transferred} records transferred to hospital B, 1 query refused by the ledger (${report.refusal})`,
    );
    for (const { title, network, events } of report.events) {
      lines.push(`  ${capital(title)}, ${network.padEnd(6)} ${events.padStart(4)} events on the ledger, none missing`);
    }
    lines.push('', `  ${'milliseconds'.padEnd(38)} ${'count'.padStart(5)} ${'p50'.padStart(8)} ${'p95'.padStart(8)}`);
    for (const { label, count, p50, p95 } of report.latencies) {
      lines.push(
        `  ${label.padEnd(38)} ${String(count).padStart(5)} ${p50.toFixed(1).padStart(8)} ${p95.toFixed(1).padStart(8)}`,
      );
    }
  }
  lines.push('', `State, keys and logs: ${stack.layout.dir}`);
  return lines.join('\n');
}

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
