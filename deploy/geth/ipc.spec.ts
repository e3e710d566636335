import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ipcPathFor, requirePrivate } from './ipc.js';

describe('the path of a socket', () => {
  it('stays in the folder while that is short enough', () => {
    expect(ipcPathFor('/srv/emr/local')).toBe('/srv/emr/local/geth.ipc');
  });

  it('moves to a short folder when it is not, each node to its own', () => {
    const deep = `/srv/${'deep/'.repeat(30)}`;
    expect(Buffer.byteLength(ipcPathFor(deep))).toBeLessThan(104);
    expect(ipcPathFor(deep)).not.toBe(ipcPathFor(`${deep}other`));
  });

  it('is never in a folder that others could change, nor behind a link', () => {
    const folder = mkdtempSync(join(tmpdir(), 'emr-ipc-test-'));
    try {
      const own = join(folder, 'own');
      mkdirSync(own, { mode: 0o700 });
      expect(() => requirePrivate(own)).not.toThrow();
      symlinkSync(own, join(folder, 'link'));
      expect(() => requirePrivate(join(folder, 'link'))).toThrow(/not a folder of this user alone/);
      chmodSync(own, 0o777);
      expect(() => requirePrivate(own)).toThrow(/not a folder of this user alone/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
