import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';

@Injectable()
export class PatientsStore {
  constructor(private readonly dataSource: DataSource) {}

  /** The patient with this blind index, made when there is none. @returns its id */
  async upsert(
    manager: EntityManager,
    patient: { identifierIndex: Buffer; sealed: Buffer; kekId: string },
  ): Promise<string> {
    // A no-op update, so that the row is returned, and locked against removal, whoever made it.
    const rows: { id: string }[] = await manager.query(
      `INSERT INTO gateway.patient (id, identifier_index, identifier_sealed, kek_id) VALUES ($1, $2, $3, $4)
       ON CONFLICT ON CONSTRAINT uq_patient_identifier_index DO UPDATE SET identifier_index = excluded.identifier_index
       RETURNING id`,
      [randomUUID(), patient.identifierIndex, patient.sealed, patient.kekId],
    );
    return rows[0]!.id;
  }

  async link(manager: EntityManager, recordId: Buffer, patientId: string, subject: Buffer): Promise<void> {
    await manager.query(
      `INSERT INTO gateway.patient_record (record_id, patient_id, subject_address) VALUES ($1, $2, $3)
       ON CONFLICT ON CONSTRAINT pk_patient_record DO NOTHING`,
      [recordId, patientId, subject],
    );
  }

  /** The sealed identifier of a record's patient, with the index it is bound to. */
  async sealedIdentifier(recordId: Buffer): Promise<{ index: Buffer; kekId: string; bytes: Buffer } | undefined> {
    const rows: { index: Buffer; kekId: string; bytes: Buffer }[] = await this.dataSource.query(
      `SELECT p.identifier_index AS index, p.kek_id AS "kekId", p.identifier_sealed AS bytes
       FROM gateway.patient_record pr JOIN gateway.patient p ON p.id = pr.patient_id WHERE pr.record_id = $1`,
      [recordId],
    );
    return rows[0];
  }

  /** Lets a log-in stand for the patient of a record. @returns whether the record has a patient here */
  async linkAccount(recordId: Buffer, accountIndex: Buffer): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query(
      `INSERT INTO gateway.patient_account (account_index, patient_id)
       SELECT $2, patient_id FROM gateway.patient_record WHERE record_id = $1
       ON CONFLICT ON CONSTRAINT pk_patient_account DO UPDATE SET patient_id = excluded.patient_id RETURNING 1`,
      [recordId, accountIndex],
    );
    return rows.length > 0;
  }

  /** Address of the record's subject, when this log-in stands for its patient. */
  async subjectFor(recordId: Buffer, accountIndex: Buffer): Promise<Buffer | undefined> {
    const rows: { subject_address: Buffer }[] = await this.dataSource.query(
      `SELECT pr.subject_address FROM gateway.patient_record pr JOIN gateway.patient_account pa USING (patient_id)
       WHERE pr.record_id = $1 AND pa.account_index = $2`,
      [recordId, accountIndex],
    );
    return rows[0]?.subject_address;
  }
}
