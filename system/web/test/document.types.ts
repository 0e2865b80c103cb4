/**
 * Every export, option and field of the document's browser code, used as it uses them. This
 * file is compiled and never run: what does not fit is an error of the type check.
 */

import type { RefObject } from 'react'
import {
  RemoteRenderClient,
  type InputCommand,
  type RTCStats,
  type RemoteRenderConfig,
} from '../src/index'
import { useRemoteRender, type UseRemoteRenderOptions } from '../src/react'

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false
function holds<_Claim extends true>(): void {}

// --- the class -------------------------------------------------------------------

export const config: RemoteRenderConfig = {
  signalingServerUrl: 'ws://localhost:8080',
  stunServers: ['stun:stun.example'],
  turnServers: [
    { urls: 'turn:turn.example', username: 'user', credential: 'secret' },
    { urls: 'turn:turn.example' },
  ],
  videoElement: document.createElement('video'),
  onConnected: () => undefined,
  onDisconnected: () => undefined,
  onError: (error: Error) => {
    throw error
  },
  onStats: (stats: RTCStats) => {
    holds<Same<typeof stats.fps, number>>()
  },
}
export const smallest: RemoteRenderConfig = {
  signalingServerUrl: 'ws://localhost:8080',
  videoElement: document.createElement('video'),
}
export const command: InputCommand = {
  type: 'camera:orbit',
  timestamp: Date.now(),
  data: { deltaX: 1, deltaY: 2 },
}
export const statistics: RTCStats = {
  fps: 30,
  rtt: 12,
  packetsLost: 0,
  bytesReceived: 1000,
  jitter: 0.002,
  bitrate: 2.5,
}

export async function useOfTheClass(): Promise<void> {
  const client = new RemoteRenderClient(config)
  holds<Same<ReturnType<typeof client.connect>, Promise<void>>>()
  await client.connect('user_123', 'project_abc')
  client.sendCameraOrbit(1, 2)
  client.sendCameraZoom(-1)
  client.sendDeviceClick('', 10, 20)
  client.sendDeviceDrag('device', [1, 2, 3])
  client.sendConnectionCreate('source', 'target', 'pipe')
  client.disconnect()
}

// --- the hook --------------------------------------------------------------------

export const options: UseRemoteRenderOptions = {
  signalingServerUrl: 'ws://localhost:8080',
  userId: 'user_123',
  projectId: 'project_abc',
  autoConnect: true,
  onError: (error: Error) => {
    throw error
  },
}

export function useOfTheHook(): void {
  const {
    videoRef,
    connected,
    loading,
    error,
    stats,
    connect,
    disconnect,
    sendCameraOrbit,
    sendCameraZoom,
    sendDeviceClick,
    sendDeviceDrag,
    sendConnectionCreate,
    ...more
  } = useRemoteRender(options)
  holds<Same<typeof videoRef, RefObject<HTMLVideoElement | null>>>()
  holds<Same<typeof connected, boolean>>()
  holds<Same<typeof loading, boolean>>()
  holds<Same<typeof error, Error | null>>()
  holds<Same<typeof stats, RTCStats | null>>()
  holds<Same<typeof connect, () => Promise<void>>>()
  holds<Same<typeof disconnect, () => void>>()
  holds<Same<typeof sendCameraOrbit, (deltaX: number, deltaY: number) => void>>()
  holds<Same<typeof sendCameraZoom, (delta: number) => void>>()
  holds<Same<typeof sendDeviceClick, (deviceId: string, x: number, y: number) => void>>()
  holds<
    Same<typeof sendDeviceDrag, (deviceId: string, position: [number, number, number]) => void>
  >()
  holds<
    Same<typeof sendConnectionCreate, (source: string, target: string, type: string) => void>
  >()
  holds<Same<typeof more, { queuePosition: number | null }>>()
}
