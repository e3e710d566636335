/** `@Inject(NETWORKS) networks: NetworksConfig`: the networks file of this hospital. */
export const NETWORKS = Symbol('networks');
/** `@Inject(LOGGER) logger: Logger` */
export const LOGGER = Symbol('logger');
