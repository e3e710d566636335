import { describe, expect, it } from 'vitest';
import { layoutOf, portNames, projectRoot } from './layout.js';
import { parseOptions } from './options.js';

describe('the options of npm start', () => {
  it('has defaults', () => {
    expect(parseOptions([])).toEqual({
      ...{ exit: false, fresh: false, demo: true, help: false, base: 4100, state: `${projectRoot}/.emr` },
    });
  });

  it('takes them all', () => {
    const args = ['--exit', '--fresh', '--no-demo', '--ports', '5100', '--state', '/srv/emr'];
    expect(parseOptions(args)).toEqual({
      exit: true,
      fresh: true,
      demo: false,
      help: false,
      base: 5100,
      state: '/srv/emr',
    });
  });

  it.each([['--ports', '80'], ['--ports', 'x'], ['--ports', '65530'], ['--port', '4100'], ['surplus']])(
    'refuses %s %s',
    (...args) => {
      expect(() => parseOptions(args)).toThrow();
    },
  );
});

describe('the layout', () => {
  it('gives every service a port of its own, within the range', () => {
    const layout = layoutOf('/srv/emr', 5100);
    const ports = [...portNames(layout).map(({ port }) => port), layout.postgres.port];
    expect(new Set(ports).size).toBe(ports.length);
    expect(Math.min(...ports)).toBe(5100);
    expect(Math.max(...ports)).toBe(5130);
  });

  it('keeps the hospitals apart', () => {
    const [a, b] = layoutOf('/srv/emr', 4100).hospitals;
    expect([a?.id, a?.slug, a?.database, a?.ports.api]).toEqual([1, 'hospital-a', 'hospital_a', 4100]);
    expect([b?.id, b?.slug, b?.database, b?.ports.api]).toEqual([2, 'hospital-b', 'hospital_b', 4110]);
  });
});
