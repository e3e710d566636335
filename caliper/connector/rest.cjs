'use strict';
// Caliper loads this file into its manager and its worker, with require: hence CommonJS.
const { readFileSync } = require('node:fs');
const { Agent, request: httpRequest } = require('node:http');
const { CaliperUtils, ConfigUtil, ConnectorBase, TxStatus } = require('@hyperledger/caliper-core');

const PATIENCE_MS = 15 * 60_000;
const POLL_MS = 50;

/**
 * A Caliper connector to the REST API. Its network file has `rest: { api, username, password }`. A request is
 * `{ method, path, key?, body?, until? }`; a write is done when the answer says confirmed (201), never at accepted (202); with `until`,
 * a field and its value, when what the answer's Location names has come so far. It never throws for what the API answers: that is a
 * failed transaction.
 */
class RestConnector extends ConnectorBase {
  constructor(workerIndex) {
    super(workerIndex, 'rest');
    const file = CaliperUtils.resolvePath(ConfigUtil.get(ConfigUtil.keys.NetworkConfig));
    this.config = JSON.parse(readFileSync(file, 'utf8')).rest;
    this.agent = new Agent({ keepAlive: true, maxSockets: 1_000 });
  }

  async init() {}

  async installSmartContract() {}

  /** Called twice a round; logging in is limited, and a token lives for an hour. */
  async getContext() {
    const { api, username, password } = this.config;
    if (Date.now() < (this.freshUntil ?? 0)) return {};
    const { status, body } = await this.send('POST', '/v1/auth/token', {}, { username, password });
    if (status !== 200) throw new Error(`${username} could not log in at ${api}: ${status}`);
    this.token = body.accessToken;
    this.freshUntil = Date.now() + (body.expiresIn * 1_000) / 2;
    return {};
  }

  async releaseContext() {}

  async _sendSingleRequest(request) {
    const status = new TxStatus();
    try {
      const id = await this.perform(request);
      status.SetID(id);
      status.SetVerification(true);
      status.SetStatusSuccess();
    } catch (error) {
      status.SetErrMsg(0, error.message);
      status.SetVerification(true);
      status.SetStatusFail();
    }
    return status;
  }

  /** @returns the id that the API gave the request @throws Error with the status and code of another answer */
  async perform({ method, path, key, body, until }) {
    const headers = { authorization: `Bearer ${this.token}` };
    if (key !== undefined) Object.assign(headers, { 'idempotency-key': key, prefer: 'wait=30' });
    const deadline = Date.now() + PATIENCE_MS;
    let answer = await this.send(method, path, headers, body);
    // The same request again, by its key, is the same act: it waits on.
    while (answer.status === 202 && Date.now() < deadline) answer = await this.send(method, path, headers, body);
    if (answer.status !== (key === undefined ? 200 : 201)) throw new Error(told(answer));
    const { id, location } = answer;
    while (until !== undefined) {
      answer = await this.send('GET', location, { authorization: headers.authorization });
      if (answer.status !== 200) throw new Error(told(answer));
      if (answer.body[until.field] === until.value) break;
      if (Date.now() > deadline) throw new Error(`${until.field} is still ${answer.body[until.field]}`);
      await new Promise((wake) => setTimeout(wake, POLL_MS));
    }
    return id;
  }

  send(method, path, headers, body) {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const type = payload === undefined ? {} : { 'content-type': 'application/json' };
    return new Promise((resolve, reject) => {
      const request = httpRequest(`${this.config.api}${path}`, {
        ...{ method, agent: this.agent, timeout: 60_000 },
        headers: { ...headers, ...type },
      });
      request.once('error', reject);
      request.once('timeout', () => request.destroy(new Error('no answer within 60 s')));
      request.once('response', (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.once('error', reject);
        response.once('end', () => {
          const text = Buffer.concat(chunks).toString();
          const json = /json/.test(response.headers['content-type'] ?? '') ? JSON.parse(text) : {};
          const { location, 'x-request-id': id } = response.headers;
          resolve({ status: response.statusCode, body: json, location, id });
        });
      });
      request.end(payload);
    });
  }
}

const told = ({ status, body }) => `${status} ${body.code ?? ''} ${body.detail ?? ''}`.trim();

module.exports.ConnectorFactory = async (workerIndex) => new RestConnector(workerIndex);
