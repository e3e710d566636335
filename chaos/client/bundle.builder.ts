/** A FHIR R4 bundle with one patient and one observation; no two texts are alike, and the bytes are kept as they are. */
export function bundle(options: { id: string; family?: string; note?: string; kilobytes?: number }): Buffer {
  const { id, family = 'Sample', note = 'seen today', kilobytes = 1 } = options;
  const entry = [
    { resource: { resourceType: 'Patient', id, name: [{ family, given: ['One'] }] } },
    { resource: { resourceType: 'Observation', id: `${id}-1`, status: 'final', code: { text: note } } },
  ];
  const padding = '.'.repeat(kilobytes * 1024);
  // Spaces as no serializer writes them: what comes back must be these bytes, not the same JSON.
  return Buffer.from(
    `${JSON.stringify({ resourceType: 'Bundle', type: 'collection', entry }, null, 3)} \n`.replace(
      'seen today',
      () => `seen today ${padding}`,
    ),
  );
}
