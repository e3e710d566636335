import { readFileSync } from 'node:fs';
import { z } from 'zod';

const peersSchema = z.strictObject({
  hospitals: z.record(
    z.string().regex(/^[1-9]\d{0,9}$/, "a hospital's number"),
    z.strictObject({
      url: z
        .url({ protocol: /^https?$/ })
        .refine((url) => !/[?#]/.test(url), 'no query and no fragment')
        // fetch refuses them with an error that quotes them
        .refine((url) => !/^\w+:\/\/[^/]*@/.test(url), 'no user and no password'),
    }),
  ),
});

/** Where the other hospitals' gateways listen for this one: hospital number → URL, exactly as its SHA-256 stands in the registry. */
export type PeerUrls = Map<number, string>;

/** PEERS_FILE: `{ "hospitals": { "2": { "url": "https://…" } } }`. Without a file no hospital can be reached. @throws Error naming what does not fit. */
export function readPeers(file: string | undefined): PeerUrls {
  if (file === undefined) return new Map();
  const result = peersSchema.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  if (!result.success) {
    throw new Error(
      `${file} does not fit: ${result.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ')}`,
    );
  }
  return new Map(Object.entries(result.data.hospitals).map(([id, { url }]) => [Number(id), url]));
}

/** Whether what is sent there can be read on the way: plain HTTP to another machine. Contents are sealed; ids and times are not. */
export function isPlain(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'http:' && hostname !== 'localhost' && hostname !== '[::1]' && !/^127\./.test(hostname);
}
