import { describe, expect, it } from 'vitest';
import { ipcPathFor } from './ipc.js';

describe('the path of a socket', () => {
  it('stays in the folder while that is short enough', () => {
    expect(ipcPathFor('/srv/emr/local')).toBe('/srv/emr/local/geth.ipc');
  });

  it('moves to a short folder when it is not, each node to its own', () => {
    const deep = `/srv/${'deep/'.repeat(30)}`;
    expect(Buffer.byteLength(ipcPathFor(deep))).toBeLessThan(104);
    expect(ipcPathFor(deep)).not.toBe(ipcPathFor(`${deep}other`));
  });
});
