import { expect, it } from 'vitest';
import { dagName } from './dag.js';

// go-ethereum, consensus/ethash: the seed of epoch 0 is zeros, each further one the hash of the one before.
it('names DAGs as geth does', () => {
  expect(dagName(0)).toBe('full-R23-0000000000000000');
  expect(dagName(1)).toBe('full-R23-290decd9548b62a8');
});
