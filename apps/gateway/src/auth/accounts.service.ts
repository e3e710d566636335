import { Injectable } from '@nestjs/common';
import { AccountsStore } from './accounts.store.js';
import type { RoleName } from './caller.js';
import { Passwords } from './passwords.js';

/** A user of the built-in issuer. */
export interface Account {
  username: string;
  roles: RoleName[];
  disabled: boolean;
  createdAt: Date;
}

/** Users of the built-in issuer and their passwords. */
@Injectable()
export class Accounts {
  constructor(
    private readonly store: AccountsStore,
    private readonly passwords: Passwords,
  ) {}

  /** By name. @param after the last name of the page before */
  async list(after: string | undefined, limit: number): Promise<Account[]> {
    return (await this.store.list(after, limit)).map(accountOf);
  }

  /** Asked again with the same words (a retry whose answer got lost), it gives the same. @returns undefined when the name is taken */
  async add(username: string, password: string, roles: readonly RoleName[]): Promise<Account | undefined> {
    const added = await this.store.add(username, await this.passwords.hash(password), roles);
    const row = await this.store.find(username);
    if (!row) throw new Error('an account vanished while being made');
    if (added) return accountOf(row);
    const same = [...row.roles].sort().join() === [...roles].sort().join();
    return same && (await this.passwords.verify(row.password_hash, password)) ? accountOf(row) : undefined;
  }

  async exists(username: string): Promise<boolean> {
    return (await this.store.find(username)) !== undefined;
  }

  /** A disabled user gets no token, and those given before open nothing from the next second on. @returns undefined when there is no such user */
  async setDisabled(username: string, disabled: boolean): Promise<Account | undefined> {
    if (!(await this.store.setDisabled(username, disabled))) return undefined;
    const row = await this.store.find(username);
    return row && accountOf(row);
  }

  /** The account these words open; unknown names take as long as wrong passwords. @throws ProblemError TOO_MANY_REQUESTS */
  async open(username: string, password: string): Promise<Account | undefined> {
    const row = await this.store.find(username);
    const matches = await this.passwords.verify(row?.password_hash, password);
    return matches && row && !row.disabled ? accountOf(row) : undefined;
  }
}

function accountOf(row: { username: string; roles: string[]; disabled: boolean; created_at: Date }): Account {
  return { username: row.username, roles: row.roles as RoleName[], disabled: row.disabled, createdAt: row.created_at };
}
