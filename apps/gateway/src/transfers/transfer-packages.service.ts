import { Inject, Injectable } from '@nestjs/common';
import { type NetworksConfig, networkOf } from '../../../../libs/platform/src/networks.js';
import { Vault } from '../../../../libs/vault/src/vault.js';
import { RecordContents } from '../contents/record-contents.service.js';
import { openContent, type SealedContent } from '../contents/sealed-content.js';
import { NETWORKS } from '../core.tokens.js';
import type { PatientIdentifier } from '../emrs/emrs.schema.js';
import { Patients } from '../emrs/patients.service.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { PeersService } from '../peering/peers.service.js';
import { buildPackage, openPackage, PackageInvalid, type PackageSubject, packageHash } from './transfer-package.js';
import { type TransferRow, TransfersStore } from './transfers.store.js';

/** A received package, proven and opened. */
export interface ReceivedCopy {
  sealed: SealedContent & { dek: Buffer };
  patient: PatientIdentifier;
}

/** Packages between this hospital and its peers: built once and kept, proven and opened. */
@Injectable()
export class TransferPackages {
  constructor(
    private readonly store: TransfersStore,
    private readonly contents: RecordContents,
    private readonly patients: Patients,
    private readonly peers: PeersService,
    private readonly vault: Vault,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
    @Inject(GATEWAY_ENV) private readonly env: Pick<GatewayEnv, 'HOSPITAL_ID'>,
  ) {}

  /**
   * The package of an outgoing transfer, made at the first call.
   * @throws ProblemError PEER_UNAVAILABLE when the receiver isn't an active hospital
   * @throws PackageInvalid when the content or the patient link is gone
   */
  async outgoing(row: TransferRow): Promise<{ bytes: Buffer; hash: Buffer }> {
    const kept = await this.store.package(row.id);
    if (kept) return { bytes: kept, hash: packageHash(kept) };
    const receiver = await this.peers.reachable(row.peerHospital);
    const [content, patient] = await Promise.all([
      this.contents.sealedVersion(this.networks.local, row.recordId, row.version),
      this.patients.identifierOf(row.recordId),
    ]);
    if (!content || !patient) throw new PackageInvalid('The content of this version is no longer here.');
    const own = { ...patient, system: patient.system ?? `urn:emr-gateway:hospital:${this.env.HOSPITAL_ID}` };
    const bytes = await buildPackage(
      this.#subject(row, this.env.HOSPITAL_ID, row.peerHospital),
      // Two hospitals number their patients alike: without its system an identifier would name another's patient there.
      { ...content, patient: own },
      receiver,
      (message) => this.vault.sign(message),
    );
    await this.store.keepPackage(row.id, 'outgoing', bytes, packageHash(bytes));
    // Another driver may have been first: the one that is stored counts.
    const stored = (await this.store.package(row.id)) ?? bytes;
    return { bytes: stored, hash: packageHash(stored) };
  }

  /**
   * Proves a package of an incoming transfer from signature to plaintext, and gives what the copy is made of: manifest and ciphertext as they
   * are, so that the copy's hash on this hospital's ledger is the one the transfer was about.
   * @throws PackageInvalid
   */
  async incoming(row: TransferRow, bytes: Buffer): Promise<ReceivedCopy> {
    const sender = await this.peers.registered(row.peerHospital);
    if (!sender) throw new PackageInvalid('The sending hospital is not active.');
    const subject = this.#subject(row, row.peerHospital, this.env.HOSPITAL_ID);
    const opened = await openPackage(bytes, subject, sender.identityKey, (id) => this.vault.transferPrivateKey(id));
    const { manifest, ciphertext, dek, patient } = opened;
    const sealed = { manifest, ciphertext, contentHash: row.contentHash, dek };
    try {
      openContent(sealed, dek);
    } catch (cause) {
      throw new PackageInvalid('The content of the package does not open under its key.', { cause });
    }
    return { sealed, patient };
  }

  #subject(row: TransferRow, from: number, to: number): PackageSubject {
    const { chainId, contract } = networkOf(this.networks, 'global');
    const { id: transferId, recordId, version, contentHash } = row;
    return { chainId, contract, transferId, recordId, version, from, to, contentHash };
  }
}
