import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { computeAddress, SigningKey, Transaction } from 'ethers';
import { toHex } from '../../libs/platform/src/bytes.js';

/** What a client of web3signer sends: JSON numbers are 0x-prefixed hex. */
export interface TransactionRequest {
  from: string;
  to?: string;
  gas: string;
  gasPrice: string;
  value?: string;
  nonce: string;
  data?: string;
}

interface JsonRpcRequest {
  id: number;
  method: string;
  params: unknown[];
}

/** How it answers one request: `signed` is the right answer, `sign` makes others. */
export type Answer = (
  signed: string,
  request: TransactionRequest,
  sign: (request: TransactionRequest) => string,
) => unknown;

export interface SigningServer {
  url: string;
  /** Requests so far, oldest first. */
  requests: { method: string; params: unknown[] }[];
  /** From now on; undefined: rightly. What it throws is answered as a JSON-RPC error. */
  answer: Answer | undefined;
  close(): Promise<void>;
}

/**
 * A stand-in for web3signer, which needs Java: the one method that is asked of it, as its documentation has it
 * (`eth_signTransaction`, exactly one parameter, the chain id from its own configuration, the answer is the signed bytes), by real
 * signing with ethers. It shows that our side speaks the dialect, not how web3signer itself behaves.
 */
export async function startSigningServer(keys: readonly Buffer[], chainId: bigint): Promise<SigningServer> {
  const accounts = new Map(keys.map((key) => [computeAddress(toHex(key)).toLowerCase(), key]));
  const state: SigningServer = { url: '', requests: [], answer: undefined, close: async () => undefined };

  const sign = (request: TransactionRequest): string => {
    const key = accounts.get(request.from.toLowerCase());
    if (key === undefined) throw new Error('Signing from is not an unlocked account');
    const transaction = Transaction.from({
      type: 0,
      chainId,
      nonce: Number(request.nonce),
      gasPrice: request.gasPrice,
      gasLimit: request.gas,
      to: request.to ?? null,
      value: request.value ?? '0x0',
      data: request.data ?? '0x',
    });
    transaction.signature = new SigningKey(key).sign(transaction.unsignedHash);
    return transaction.serialized;
  };

  const server = createServer(async (request, response) => {
    const asked = (await json(request).catch(() => undefined)) as JsonRpcRequest | undefined;
    if (asked === undefined) return void response.destroy(); // broken off in the middle, or no JSON
    const { id, method, params } = asked;
    state.requests.push({ method, params });
    const send = (body: object) =>
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ jsonrpc: '2.0', id, ...body }));
    try {
      if (method !== 'eth_signTransaction') throw Object.assign(new Error('Method not found'), { code: -32601 });
      if (params.length !== 1) throw Object.assign(new Error('Invalid params'), { code: -32602 });
      const transaction = params[0] as TransactionRequest;
      const signed = sign(transaction);
      send({ result: state.answer === undefined ? signed : await state.answer(signed, transaction, sign) });
    } catch (error) {
      const { message, code } = error as { message: string; code?: number };
      send({ error: { code: code ?? -32000, message } });
    }
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  state.close = () =>
    new Promise<void>((closed) => {
      server.close(() => closed());
      server.closeAllConnections();
    });
  return state;
}
