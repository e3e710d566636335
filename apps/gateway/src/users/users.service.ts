import { Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { packWrapped, unpackWrapped, Vault } from '../../../../libs/vault/src/vault.js';
import { type Account, Accounts } from '../auth/accounts.service.js';
import type { Caller } from '../auth/caller.js';
import { Issuers } from '../auth/issuers.js';
import { decodeCursor, pageOf } from '../http/page.js';
import type { NewUser, UserBody, UserQuery } from './users.schema.js';

const LIST = 'users';
const cursorKey = z.tuple([z.base64url().max(512)]);
const CURSOR = Buffer.from('users-cursor');

/** Users of the built-in issuer. An OIDC issuer keeps its own. */
@Injectable()
export class UsersService {
  constructor(
    private readonly accounts: Accounts,
    private readonly issuers: Issuers,
    private readonly vault: Vault,
  ) {}

  async list(query: UserQuery, exchange: { request: FastifyRequest; reply: FastifyReply }) {
    const after = decodeCursor(LIST, query.cursor, cursorKey);
    const rows = await this.accounts.list(after && this.#opened(after[0]), query.limit + 1);
    return pageOf(exchange, LIST, rows, query.limit, ({ username }) => [this.#sealed(username)], present);
  }

  /** A user's name may be a person's, and a cursor travels in a URL. */
  #sealed(username: string): string {
    return packWrapped(this.vault.wrap(Buffer.from(username), CURSOR)).toString('base64url');
  }

  #opened(cursor: string): string {
    try {
      return this.vault.unwrap(unpackWrapped(Buffer.from(cursor, 'base64url')), CURSOR).toString();
    } catch (cause) {
      throw new ProblemError('INVALID_CURSOR', { cause });
    }
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
    // A registered system's tokens carry its client id as subject: a user of that name would act as the system's actor.
    if (issuer.clients.some(({ clientId }) => clientId === username)) {
      throw new ProblemError('CONFLICT', { detail: 'A registered system has this name.' });
    }
    const account = await this.accounts.add(username, password, roles);
    if (!account) throw new ProblemError('CONFLICT', { detail: 'There is a user of this name already.' });
    return present(account);
  }

  /**
   * Whether a user may log in. What the ledger thinks of the user's actor is another matter: suspend that too where it should not act.
   * @throws ProblemError NOT_FOUND when there is no such user; CONFLICT when callers would lock out themselves
   */
  async setDisabled(caller: Caller, username: string, disabled: boolean): Promise<UserBody> {
    const own = caller.issuer === this.issuers.builtin?.issuer && caller.subject === username;
    if (own && disabled) throw new ProblemError('CONFLICT', { detail: 'Have another administrator suspend you.' });
    const account = await this.accounts.setDisabled(username, disabled);
    if (!account) throw new ProblemError('NOT_FOUND');
    return present(account);
  }
}

function present({ username, roles, disabled, createdAt }: Account): UserBody {
  return { username, roles, disabled, createdAt: createdAt.toISOString() };
}
