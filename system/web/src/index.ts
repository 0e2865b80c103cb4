export { RemoteRenderClient } from './client.js'
export type {
  ClientEvents,
  ConnectionStatus,
  InputCommand,
  RemoteRenderConfig,
} from './config.js'
export { RemoteRenderError, type RemoteRenderErrorCode } from './errors.js'
export type { LatencySample } from './latency.js'
export type { RTCStats, StreamStats } from './stats.js'
