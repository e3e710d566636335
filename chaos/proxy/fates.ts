/** What becomes of one message of a gateway to its node. */
export type Fate =
  | { kind: 'pass' }
  /** it never arrives, and nobody says so */
  | { kind: 'drop' }
  /** the connection breaks before it arrives */
  | { kind: 'cut' }
  | { kind: 'delay'; ms: number }
  /** it arrives twice; one answer goes back */
  | { kind: 'duplicate' }
  /** it arrives, and the connection breaks before the answer */
  | { kind: 'lose-answer' }
  /** it arrives, and the answer never comes */
  | { kind: 'silence' }
  /** the node says that it took a transaction, and forgets it */
  | { kind: 'swallow' }
  /** the node refuses transactions for good reasons of its own */
  | { kind: 'refuse' }
  /** HTTP status, or an error of the node where there is no HTTP */
  | { kind: 'status'; status: 429 | 500 }
  /** bytes that mean nothing */
  | { kind: 'garbage' };

export interface Message {
  /** methods of its calls, in order */
  methods: string[];
  calls: RpcCall[];
  batch: boolean;
  front: 'ipc' | 'http';
}

export interface RpcCall {
  id: unknown;
  method: string;
  params?: unknown[];
}

/** Reads a message of JSON-RPC. */
export function messageOf(text: string, front: Message['front']): Message {
  const parsed = JSON.parse(text) as RpcCall | RpcCall[];
  const calls = Array.isArray(parsed) ? parsed : [parsed];
  return { methods: calls.map(({ method }) => method), calls, batch: Array.isArray(parsed), front };
}

/** Whether it hands transactions to the node. */
export const isSend = ({ methods }: Message) =>
  methods.length > 0 && methods.every((m) => m === 'eth_sendRawTransaction');
