import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Interface } from 'ethers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { prepareDirect } from '../../caliper/direct.js';
import { type CellLedger, type Founder, foundLedger } from '../../caliper/ledger.js';
import { operations } from '../../caliper/matrix.js';
import { type RunningNetwork, startNetwork } from '../../deploy/geth/network.js';
import { layoutOf } from '../../deploy/local/layout.js';
import { keyFiles, provisionHospital } from '../../deploy/local/provision.js';
import { addressOf } from '../../libs/chain-client/src/keys/secp256k1.js';
import { signLegacyTransaction } from '../../libs/chain-client/src/keys/transaction.js';
import { ChainReader } from '../../libs/chain-client/src/rpc/reader.js';
import { connectRpc } from '../../libs/chain-client/src/rpc/transport.js';
import { decodeEvent } from '../../libs/contracts/src/event.codec.js';
import { abi } from '../../libs/contracts/src/generated/emr-ledger.js';
import { fromHex } from '../../libs/platform/src/bytes.js';

const quiet = { info: () => {}, warn: () => {} };
let dir: string;
let network: RunningNetwork;
let ledger: CellLedger;
let founders: Founder[];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'emr-caliper-'));
  network = await startNetwork({
    ...{ dir: join(dir, 'network'), logger: quiet },
    shape: { consensus: 'clique', period: 0, chainId: 430_901, nodes: 1 },
  });
  founders = [];
  for (const layout of layoutOf(dir, 4_000).hospitals)
    founders.push({ layout, facts: await provisionHospital(layout) });
  ledger = await foundLedger(network, founders, { depth: 1, patienceMs: 30_000 });
});
afterAll(async () => {
  await network?.stop();
  await rm(dir, { recursive: true, force: true });
});

it('prepares requests of which the ledger carries out every one', async () => {
  const [hospital, receiver] = founders as [Founder, Founder];
  const rounds = operations.map((operation) => ({ operation, load: 10, count: 3 }));
  const prepared = await prepareDirect({
    ...{ ledger, hospital, receiver: receiver.layout.id, rounds, wsUrl: network.nodes[0]?.wsUrl ?? '' },
    passphrase: (await readFile(keyFiles(hospital.layout).passphrase, 'utf8')).trim(),
  });
  const rpc = connectRpc(network.nodes[0]?.ipcPath ?? '', { timeoutMs: 10_000 });
  try {
    const contract = new Interface(abi);
    const reader = new ChainReader(rpc);
    const events: Record<string, string[]> = {};
    for (const [index, requests] of prepared.requests.entries()) {
      const { operation } = rounds[index]!;
      events[operation] = [];
      for (const request of requests as { verb: string; args: unknown[]; readOnly?: boolean }[]) {
        const data = contract.encodeFunctionData(request.verb, request.args);
        const to = `0x${ledger.contract.toString('hex')}`;
        if (request.readOnly) {
          const answer = await rpc.request<string>('eth_call', [{ to, data }, 'latest']);
          events[operation].push(`sequence ${contract.decodeFunctionResult(request.verb, answer)[0]}`);
          continue;
        }
        const { ethereum } = prepared.network as { ethereum: { contracts: { ledger: { gas: { execute: number } } } } };
        const { raw, hash } = signLegacyTransaction(
          {
            nonce: await reader.transactionCount(addressOf(ledger.relayerKey), 'pending'),
            ...{ chainId: BigInt(ledger.chainId), gasPrice: 0n, to: ledger.contract, data: fromHex(data) },
            gasLimit: BigInt(ethereum.contracts.ledger.gas.execute),
          },
          ledger.relayerKey,
        );
        await reader.sendRaw([raw]);
        await expect.poll(() => reader.receipt(hash), { timeout: 20_000 }).toBeDefined();
        const receipt = await reader.receipt(hash);
        events[operation].push(...receipt!.logs.map((log) => decodeEvent(log)?.type ?? 'unknown'));
      }
    }
    const thrice = (...types: string[]) => [...types, ...types, ...types];
    expect(events).toEqual({
      open: thrice('RecordOpened', 'Head'),
      // Of each record so far: its opening.
      'query-view': thrice('sequence 1'),
      'query-audited': thrice('RecordQueried', 'Head'),
      transfer: thrice('RecordFrozen', 'TransferProposed', 'Head'),
    });
  } finally {
    await rpc.close();
  }
});
