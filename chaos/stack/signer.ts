import { createServer } from 'node:http';
import { addressOf } from '../../libs/chain-client/src/keys/secp256k1.js';
import { signLegacyTransaction } from '../../libs/chain-client/src/keys/transaction.js';
import { fromHex, toHex } from '../../libs/platform/src/bytes.js';

/** The relayer's key behind JSON-RPC, as web3signer offers it: a stand-in for one, so that a run needs no Java. */
export interface SignerServer {
  relayer: { kind: 'web3signer'; address: string; url: string };
  stop(): Promise<void>;
}

export async function startSigner(key: Buffer, port: number): Promise<SignerServer> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { id, params } = JSON.parse(Buffer.concat(chunks).toString('utf8'));
      const [asked] = params as Record<string, string>[];
      const { raw } = signLegacyTransaction(
        {
          ...{ chainId: BigInt(asked?.chainId ?? 0), nonce: BigInt(asked?.nonce ?? 0) },
          ...{ gasPrice: BigInt(asked?.gasPrice ?? 0), gasLimit: BigInt(asked?.gas ?? 0) },
          ...{ to: fromHex(asked?.to ?? '', 20), data: fromHex(asked?.data ?? '0x') },
        },
        key,
      );
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id, result: toHex(raw) }));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    relayer: { kind: 'web3signer', address: toHex(addressOf(key)), url: `http://127.0.0.1:${port}` },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
