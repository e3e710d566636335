import { readFileSync } from 'node:fs';
import { z } from 'zod';

const peersSchema = z.strictObject({
  hospitals: z.record(
    z.string().regex(/^[1-9]\d{0,9}$/, "a hospital's number"),
    z.strictObject({
      /** What people call it; shown where it received something. */
      name: z.string().min(1).max(200).optional(),
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
  return new Map(hospitalsOf(file).map(([id, { url }]) => [id, url]));
}

/** Names of the hospitals of PEERS_FILE that have one: `{ "url": "https://…", "name": "Hospital B" }`. @throws Error naming what does not fit. */
export function readPeerNames(file: string | undefined): Map<number, string> {
  return new Map(hospitalsOf(file).flatMap(([id, { name }]) => (name === undefined ? [] : [[id, name] as const])));
}

function hospitalsOf(file: string | undefined): [number, { url: string; name?: string | undefined }][] {
  if (file === undefined) return [];
  const result = peersSchema.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  if (!result.success) {
    throw new Error(
      `${file} does not fit: ${result.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ')}`,
    );
  }
  return Object.entries(result.data.hospitals).map(([id, hospital]) => [Number(id), hospital]);
}

/** Whether what is sent there can be read on the way: plain HTTP to another machine. Contents are sealed; ids and times are not. */
export function isPlain(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'http:' && hostname !== 'localhost' && hostname !== '[::1]' && !/^127\./.test(hostname);
}
