import { expect, it, vi } from 'vitest';
import { GuardedClient } from './guarded-client.js';

it('a connection whose loss nobody hears of ends no process', () => {
  const client = new GuardedClient();
  expect(client.emit('error', new Error('lost before it was handed over'))).toBe(false);
  const heard = vi.fn();
  client.on('error', heard);
  const error = new Error('lost');
  expect(client.emit('error', error)).toBe(true);
  expect(heard).toHaveBeenCalledExactlyOnceWith(error);
  client.removeAllListeners();
  expect(client.emit('error', new Error('lost while it ended'))).toBe(false);
});
