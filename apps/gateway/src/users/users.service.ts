import { Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { AuthStore, type UserRow } from '../auth/auth.store.js';
import type { RoleName } from '../auth/caller.js';
import { Issuers } from '../auth/issuers.js';
import { Passwords } from '../auth/passwords.js';
import { decodeCursor, pageOf } from '../http/page.js';
import type { NewUser, UserBody, UserQuery } from './users.schema.js';

const LIST = 'users';
const cursorKey = z.tuple([z.string().max(64)]);

/** Users of the built-in issuer. An OIDC issuer keeps its own. */
@Injectable()
export class UsersService {
  constructor(
    private readonly store: AuthStore,
    private readonly passwords: Passwords,
    private readonly issuers: Issuers,
  ) {}

  async list(query: UserQuery, exchange: { request: FastifyRequest; reply: FastifyReply }) {
    const after = decodeCursor(LIST, query.cursor, cursorKey);
    const rows = await this.store.listUsers(after?.[0], query.limit + 1);
    return pageOf(exchange, LIST, rows, query.limit, (row) => [row.username], present);
  }

  /**
   * Asked again with the same words (a retry whose answer got lost), it answers the same.
   * @throws ProblemError CONFLICT when the name is taken; NOT_FOUND when the built-in issuer is off
   */
  async add({ username, password, roles }: NewUser): Promise<UserBody> {
    const issuer = this.issuers.builtin;
    if (!issuer)
      throw new ProblemError('NOT_FOUND', {
        detail: 'The built-in issuer is off; add users at your identity provider.',
      });
    if (!roles.every((role) => issuer.roles.includes(role))) {
      throw new ProblemError('INVALID_INPUT', {
        errors: [{ pointer: '/roles', message: 'more than the issuer may hand out' }],
      });
    }
    const added = await this.store.addUser(username, await this.passwords.hash(password), roles);
    const user = await this.store.userOf(username);
    if (!user) throw new Error('a user vanished while being made');
    if (added) return present(user);
    const same = [...user.roles].sort().join() === [...roles].sort().join();
    if (!same || !(await this.passwords.verify(user.password_hash, password))) {
      throw new ProblemError('CONFLICT', { detail: 'There is a user of this name already.' });
    }
    return present(user);
  }
}

function present(row: UserRow): UserBody {
  return {
    username: row.username,
    roles: row.roles as RoleName[],
    disabled: row.disabled,
    createdAt: row.created_at.toISOString(),
  };
}
