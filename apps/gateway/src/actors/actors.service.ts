import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Operation } from '../../../../libs/contracts/src/operations.js';
import { parameters } from '../../../../libs/contracts/src/parameters.js';
import { fromHex, toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { type Caller, roleBits, rolesOfBits } from '../auth/caller.js';
import { type IssuerEntry, Issuers } from '../auth/issuers.js';
import { NETWORKS } from '../core.tokens.js';
import { bytesOf } from '../http/fields.js';
import { decodeCursor, pageOf } from '../http/page.js';
import { ActorKeys } from '../keys/actor-keys.js';
import { everywhere, fingerprintOf, type StepIntent } from '../operations/act.js';
import { OperationsService, type Performed } from '../operations/operations.service.js';
import type { ActorBody, ActorQuery, Registration } from './actors.schema.js';
import { type ActorRow, ActorsStore } from './actors.store.js';

const NO_RECORD = Buffer.alloc(32);
const LIST = 'actors';
const cursorKey = z.tuple([z.string().regex(/^0x[0-9a-f]{40}$/)]);

@Injectable()
export class ActorsService {
  constructor(
    private readonly store: ActorsStore,
    private readonly operations: OperationsService,
    private readonly keys: ActorKeys,
    private readonly issuers: Issuers,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  async list(query: ActorQuery, exchange: { request: FastifyRequest; reply: FastifyReply }) {
    const after = decodeCursor(LIST, query.cursor, cursorKey);
    const rows = await this.store.list(after && fromHex(after[0]), query.limit + 1);
    return pageOf(exchange, LIST, rows, query.limit, (row) => [toHex(row.address)], present);
  }

  /** @throws ProblemError NOT_FOUND */
  async find(address: string): Promise<ActorBody> {
    return present(await this.#require(bytesOf(address)));
  }

  /**
   * Binds a subject to an address, and has the registrar register that on the local and the global ledger.
   * Asked again for a known subject, it changes the roles.
   * @throws ProblemError CONFLICT when subject or address is bound otherwise
   */
  async register(
    caller: Caller,
    idempotencyKey: string,
    registration: Registration,
  ): Promise<{ operation: Performed; address: string }> {
    const { issuer, hospital, roles } = this.#issuerOf(registration.issuer);
    if (hospital !== caller.hospital)
      throw new ProblemError('FORBIDDEN', { detail: 'The issuer speaks for another hospital.' });
    if (!registration.roles.every((role) => roles.includes(role))) {
      throw new ProblemError('INVALID_INPUT', {
        errors: [{ pointer: '/roles', message: 'more than the issuer may hand out' }],
      });
    }
    const address = await this.#bind(issuer, registration);
    const build = (): StepIntent => ({
      code: Operation.REGISTER_ACTOR,
      recordId: NO_RECORD,
      actor: 'registrar',
      parameters: parameters.registerActor({
        account: address,
        roles: roleBits(registration.roles),
        custody: registration.address === undefined ? 0 : 1,
      }),
    });
    const operation = await this.operations.perform(caller, {
      idempotencyKey,
      fingerprint: fingerprintOf('POST', '/v1/admin/actors', registration),
      type: 'register-actor',
      steps: everywhere(this.networks, build),
    });
    await this.store.setRoles(address, registration.roles);
    return { operation, address: toHex(address) };
  }

  /** Suspends or reinstates on both ledgers. @throws ProblemError NOT_FOUND */
  async setActive(caller: Caller, idempotencyKey: string, address: string, active: boolean): Promise<Performed> {
    const account = bytesOf(address);
    await this.#require(account);
    const build = (): StepIntent => ({
      code: Operation.SET_ACTOR_STATUS,
      recordId: NO_RECORD,
      actor: 'registrar',
      parameters: parameters.setActorStatus({ account, active }),
    });
    const change = active ? 'reinstatement' : 'suspension';
    if (!active) this.keys.forget(account);
    return this.operations.perform(caller, {
      idempotencyKey,
      fingerprint: fingerprintOf('POST', `/v1/admin/actors/${address.toLowerCase()}/${change}`, {}),
      type: active ? 'reinstate-actor' : 'suspend-actor',
      steps: everywhere(this.networks, build),
    });
  }

  #issuerOf(name: string | undefined): Pick<IssuerEntry, 'issuer' | 'hospital' | 'roles'> {
    const entry = name === undefined ? this.issuers.builtin : this.issuers.find(name)?.entry;
    if (!entry) {
      throw new ProblemError('INVALID_INPUT', {
        errors: [{ pointer: '/issuer', message: 'names no issuer trusted here' }],
      });
    }
    return entry;
  }

  async #bind(issuer: string, registration: Registration): Promise<Buffer> {
    const { subject, roles } = registration;
    if (registration.address === undefined) {
      const { address } = await this.keys.createForActor({ issuer, subject, roles });
      if (!(await this.#require(address)).held) {
        throw new ProblemError('CONFLICT', {
          detail: 'This subject is bound to a key of their own; send its address.',
        });
      }
      return address;
    }
    const address = bytesOf(registration.address);
    if (await this.store.bindSelfHeld(address, issuer, subject, roles)) return address;
    const bound = await this.store.ofSubject(issuer, subject);
    if (!bound?.address.equals(address) || bound.held) {
      throw new ProblemError('CONFLICT', { detail: 'The address or the subject is bound otherwise.' });
    }
    return address;
  }

  async #require(address: Buffer): Promise<ActorRow> {
    const row = await this.store.find(address);
    if (!row) throw new ProblemError('NOT_FOUND');
    return row;
  }
}

function present(row: ActorRow): ActorBody {
  return {
    address: toHex(row.address),
    issuer: row.issuer,
    subject: row.subject,
    custody: row.held ? 'gateway' : 'self',
    roles: rolesOfBits(row.roles ?? 0),
    status: row.active === null ? 'unregistered' : row.active ? 'active' : 'suspended',
    createdAt: row.created_at.toISOString(),
  };
}
