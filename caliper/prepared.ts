/** What Caliper is given for one path of a cell. */
export interface Prepared {
  /** its network file */
  network: object;
  /** of each round, what the workload hands to the connector, in order */
  requests: object[][];
}
