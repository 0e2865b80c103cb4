export { RemoteRenderClient } from './client'
export type {
  ClientEvents,
  ConnectionStatus,
  InputCommand,
  RemoteRenderConfig,
} from './config'
export { RemoteRenderError, type RemoteRenderErrorCode } from './errors'
export type { LatencySample } from './latency'
export type { RTCStats, StreamStats } from './stats'
