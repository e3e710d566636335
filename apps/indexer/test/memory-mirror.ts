import type { Extension, Mirror, MirrorState, Replacement } from '../src/commit/mirror.js';
import type { AnyRow } from '../src/commit/table.js';
import type { Projection } from '../src/project/projection.js';
import { projections } from '../src/project/projections.js';
import { Projector, rebuild, type TableChange, touchedKeys } from '../src/project/projector.js';
import type { FoldedBlock, LedgerState, PlacedEvent } from '../src/verify/ledger.fold.js';

type Rows = Map<string, AnyRow>;

/** Prepared and committed at once. */
export async function extend(mirror: Mirror, extension: Extension): Promise<void> {
  const write = await mirror.prepare(extension);
  await write();
}

/** The mirror's rules without a database: same folds, same rebuild, rows in maps. */
export class MemoryMirror implements Mirror {
  blocks: FoldedBlock[];
  finalNumber = 0n;
  orphans: PlacedEvent[] = [];
  readonly tables = new Map<Projection, Rows>(projections.map((projection) => [projection, new Map()]));
  private readonly projector = new Projector(projections, async (projection, keys) => {
    const rows = this.tables.get(projection) as Rows;
    return keys.map((key) => rows.get(nameOf(key))).filter((row) => row !== undefined);
  });

  constructor(base: FoldedBlock) {
    this.blocks = [base];
  }

  async load(): Promise<MirrorState> {
    this.projector.forget();
    const { block, state } = this.blocks.at(-1) as FoldedBlock;
    return { tip: { number: block.number, hash: block.hash }, finalNumber: this.finalNumber, ledger: state };
  }

  async hashAt(number: bigint): Promise<Buffer | undefined> {
    return this.blocks[Number(number)]?.block.hash;
  }

  async ledgerAt(number: bigint): Promise<LedgerState> {
    return (this.blocks[Number(number)] as FoldedBlock).state;
  }

  async prepare({ blocks, finalNumber }: Extension): Promise<() => Promise<void>> {
    const changes = await this.projector.apply(blocks.flatMap(({ events }) => events));
    return async () => this.extend({ blocks, finalNumber }, changes);
  }

  private extend({ blocks, finalNumber }: Extension, changes: TableChange[]): void {
    let parent = (this.blocks.at(-1) as FoldedBlock).block;
    for (const { block } of blocks) {
      if (!block.parentHash.equals(parent.hash)) throw new Error(`block ${block.number} does not follow on the tip`);
      parent = block;
    }
    if (finalNumber < this.finalNumber) throw new Error('what was final is taken back');
    this.write(changes);
    this.blocks.push(...blocks);
    this.finalNumber = finalNumber;
  }

  async reorganise({ ancestor, blocks, finalNumber }: Replacement): Promise<void> {
    if (ancestor.number < this.finalNumber) throw new Error('a final block is taken back');
    const gone = this.blocks.splice(Number(ancestor.number) + 1).flatMap(({ events }) => events);
    this.orphans.push(...gone);
    const touched = new Set(gone.map(({ event }) => event.recordId.toString('hex')));
    const remaining = this.events.filter(({ event }) => touched.has(event.recordId.toString('hex')));
    const last = new Map(
      remaining.flatMap((p) => (p.event.recordSequence > 0n ? [[p.event.recordId.toString('hex'), p]] : [])),
    );
    const kept = remaining.filter(
      (p) =>
        !['RecordQueried', 'AccessDenied'].includes(p.event.type) || last.get(p.event.recordId.toString('hex')) === p,
    );
    this.write(rebuild(touchedKeys(projections, gone), kept));
    this.projector.forget();
    await extend(this, { blocks, finalNumber });
  }

  get events(): PlacedEvent[] {
    return this.blocks.flatMap(({ events }) => events);
  }

  private write(changes: TableChange[]): void {
    for (const { projection, upserts, deletes } of changes) {
      const rows = this.tables.get(projection) as Rows;
      for (const row of upserts) rows.set(nameOf(projection.table.key.map((property) => row[property])), row);
      for (const key of deletes) rows.delete(nameOf(key));
    }
  }
}

function nameOf(key: readonly unknown[]): string {
  return key.map((part) => (Buffer.isBuffer(part) ? part.toString('hex') : String(part))).join('|');
}
