/** `@Inject(NETWORKS) networks: NetworksConfig`: the networks file of this hospital. */
export const NETWORKS = Symbol('networks');
/** `@Inject(LOGGER) logger: Logger` */
export const LOGGER = Symbol('logger');
/** `@Inject(SUBMISSION) submission: Submission`: the write path of this process. */
export const SUBMISSION = Symbol('submission');
