import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { Caller } from '../auth/caller.js';
import type { SignerActionBody, SignerActionQuery } from './signers.schema.js';

export interface NewAction {
  caller: Caller;
  action: SignerActionBody['action'];
  signerId: number;
  nonce?: number;
  reason: string;
  ticket?: string | undefined;
}

export interface ActionRow {
  id: string;
  at: Date;
  principal: Buffer;
  actor: Buffer | null;
  action: SignerActionBody['action'];
  signer_id: number;
  network: string;
  nonce: string | null;
  reason: string | null;
  ticket: string | null;
  outcome: SignerActionBody['outcome'];
  detail: SignerActionBody['detail'];
}

type Execute = (sql: string, parameters: unknown[]) => Promise<unknown>;

/** What operators did to signers: rows are added, and never changed or removed; the database refuses it. */
@Injectable()
export class SignerActionsStore {
  constructor(private readonly database: DataSource) {}

  /** @param execute of the commit that does what is recorded; left out: a commit of its own */
  async append(
    { caller, action, signerId, nonce, reason, ticket }: NewAction,
    outcome: SignerActionBody['outcome'],
    detail: Record<string, unknown>,
    execute: Execute = (sql, parameters) => this.database.query(sql, parameters),
  ): Promise<void> {
    await execute(
      `INSERT INTO gateway.operator_action (principal, actor, action, signer_id, nonce, reason, ticket, outcome, detail)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
      [
        caller.principal,
        caller.actor?.address ?? null,
        action,
        signerId,
        nonce ?? null,
        reason,
        ticket ?? null,
        outcome,
        JSON.stringify(detail),
      ],
    );
  }

  /** Newest first. @param before id of the last row of the page before */
  list(query: SignerActionQuery, before: string | undefined): Promise<ActionRow[]> {
    return this.database.query(
      `SELECT a.id, a.at, a.principal, a.actor, a.action, a.signer_id, s.network, a.nonce, a.reason, a.ticket, a.outcome, a.detail
       FROM gateway.operator_action a JOIN gateway.signer s ON s.id = a.signer_id
       WHERE ($1::integer IS NULL OR a.signer_id = $1) AND ($2::bigint IS NULL OR a.id < $2)
       ORDER BY a.id DESC LIMIT $3`,
      [query.signer ?? null, before ?? null, query.limit + 1],
    );
  }
}
