export {
  RemoteRenderClient,
  type ClientEvents,
  type ConnectionStatus,
  type InputCommand,
  type RemoteRenderConfig,
} from './client'
export { RemoteRenderError, type RemoteRenderErrorCode } from './errors'
export type { RTCStats, StreamStats } from './stats'
