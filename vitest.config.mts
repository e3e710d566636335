import swc from 'unplugin-swc';
import { defineConfig } from 'vitest/config';

// The suffix chooses the kind of test: *.spec.ts needs nothing, *.integration.spec.ts real Postgres and nodes,
// *.e2e.spec.ts the whole two-hospital stack over HTTP, *.pow.spec.ts nodes that mine.
const plugins = [
  swc.vite({
    module: { type: 'es6' },
    jsc: {
      target: 'es2022',
      parser: { syntax: 'typescript', decorators: true },
      transform: { legacyDecorator: true, decoratorMetadata: true },
    },
  }),
];
const ignored = ['**/node_modules/**', '**/dist/**', '**/.emr/**'];

export default defineConfig({
  plugins,
  test: {
    projects: [
      {
        plugins,
        test: {
          name: 'unit',
          include: ['**/*.spec.ts'],
          exclude: [...ignored, '**/*.integration.spec.ts', '**/*.e2e.spec.ts', '**/*.pow.spec.ts'],
          testTimeout: 30_000,
        },
      },
      {
        plugins,
        test: {
          name: 'integration',
          include: ['**/*.integration.spec.ts'],
          exclude: ignored,
          globalSetup: ['test/stack/global-setup.ts'],
          // A line that background work prints while its file ends would be an error that no test handled.
          disableConsoleIntercept: true,
          testTimeout: 120_000,
          hookTimeout: 240_000,
          maxWorkers: 2,
        },
      },
      {
        plugins,
        test: {
          // Real proof of work: minutes, and DAGs of gigabytes. Not in `npm test`; `npm run geth -- peering-day` runs it.
          name: 'pow',
          include: ['test/networks/**/*.pow.spec.ts'],
          exclude: ignored,
          globalSetup: ['test/stack/global-setup.ts'],
          testTimeout: 1_200_000,
          hookTimeout: 1_200_000,
        },
      },
      {
        plugins,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.e2e.spec.ts'],
          exclude: ignored,
          testTimeout: 180_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
