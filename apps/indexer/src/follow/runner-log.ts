/** Where a network's follower says what it does. */
export interface RunnerLog {
  log(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}
