import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Operation } from '../../../../libs/contracts/src/operations.js';
import { parameters } from '../../../../libs/contracts/src/parameters.js';
import { fromHex, toHex } from '../../../../libs/platform/src/bytes.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import type { Caller } from '../auth/caller.js';
import { NETWORKS } from '../core.tokens.js';
import { bytesOf } from '../http/fields.js';
import { decodeCursor, pageOf } from '../http/page.js';
import { everywhere, fingerprintOf } from '../operations/act.js';
import { OperationsService, type Performed } from '../operations/operations.service.js';
import type { Membership, TeamMemberBody, TeamMemberQuery } from './teams.schema.js';
import { TeamsStore } from './teams.store.js';

const LIST = 'team-members';
const NO_RECORD = Buffer.alloc(32);
const cursorKey = z.tuple([z.string().regex(/^0x[0-9a-f]{40}$/)]);

/** Teams of this hospital: whoever is a member may act where the team is related to a record. */
@Injectable()
export class TeamsService {
  constructor(
    private readonly store: TeamsStore,
    private readonly operations: OperationsService,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  async members(team: string, query: TeamMemberQuery, exchange: { request: FastifyRequest; reply: FastifyReply }) {
    const after = decodeCursor(LIST, query.cursor, cursorKey);
    const rows = await this.store.members(bytesOf(team), after && fromHex(after[0]), query.limit + 1);
    return pageOf(
      exchange,
      LIST,
      rows,
      query.limit,
      ({ member }) => [toHex(member)],
      ({ member, subject }): TeamMemberBody => ({ actor: toHex(member), subject }),
    );
  }

  /** Has the registrar take an actor into a team, or out of it, on the local and the global ledger. Who the actor is, the ledger knows. */
  setMember(
    caller: Caller,
    idempotencyKey: string,
    team: string,
    membership: Membership,
    active: boolean,
  ): Promise<Performed> {
    return this.operations.perform(caller, {
      idempotencyKey,
      fingerprint: fingerprintOf(
        'POST',
        `/v1/admin/teams/${team.toLowerCase()}/members${active ? '' : '/removal'}`,
        membership,
      ),
      type: active ? 'add-team-member' : 'remove-team-member',
      steps: everywhere(this.networks, () => ({
        code: Operation.SET_TEAM_MEMBER,
        recordId: NO_RECORD,
        actor: 'registrar',
        parameters: parameters.setTeamMember({ team: bytesOf(team), member: bytesOf(membership.actor), active }),
      })),
    });
  }
}
