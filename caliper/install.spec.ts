import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { boundVersion, caliperFolder } from './install.js';

const config = (version: string) => `sut:
    fabric:
        2.4: &fabric-gateway
            packages: ['@hyperledger/fabric-gateway@1.5.0', '@grpc/grpc-js@1.10.3']
    ethereum:
        1.2.1:
            packages: ['web3@1.2.2']
        1.3: &ethereum-latest
            packages: ['web3@${version}']
        latest: *ethereum-latest

    besu:
        1.3.2:
            packages: ['web3@1.2.9']
`;

describe('the binding', () => {
  it('is read from what bind would install for the latest Ethereum', () => {
    expect(boundVersion(config('1.3.0'))).toBe('1.3.0');
  });

  it('is refused where Caliper no longer says it that way', () => {
    expect(() => boundVersion('sut:\n    fabric:\n')).toThrow(/config\.yaml/);
  });

  it('pins exact versions, and the lockfile has them and names no registry', () => {
    const read = (name: string) => readFileSync(join(caliperFolder, name), 'utf8');
    const { dependencies } = JSON.parse(read('package.json'));
    const lockfile = JSON.parse(read('package-lock.json'));
    for (const [name, version] of Object.entries(dependencies)) {
      expect(version).toMatch(/^\d+\.\d+\.\d+$/);
      expect(lockfile.packages[`node_modules/${name}`].version).toBe(version);
    }
    expect(read('package-lock.json')).not.toContain('"resolved": "http');
  });
});
