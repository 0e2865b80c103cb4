/** The client as a React hook. */

import { useCallback, useEffect, useRef, useState, type RefObject } from 'react'
import { RemoteRenderClient } from './client.js'
import type { RemoteRenderConfig } from './config.js'
import type { RTCStats } from './stats.js'

export interface UseRemoteRenderOptions {
  signalingServerUrl: string
  userId: string
  projectId: string
  autoConnect?: boolean
  onError?: (error: Error) => void
  /** As in RemoteRenderConfig; another one is used from the next socket on. */
  token?: RemoteRenderConfig['token']
}

export interface UseRemoteRenderResult {
  videoRef: RefObject<HTMLVideoElement | null>
  connected: boolean
  loading: boolean
  /** Why there is no session; `onError` hears of lesser problems too. */
  error: Error | null
  stats: RTCStats | null
  /** Place in the queue, from 1; null when not waiting. */
  queuePosition: number | null
  connect: () => Promise<void>
  disconnect: () => void
  sendCameraOrbit: (deltaX: number, deltaY: number) => void
  sendCameraZoom: (delta: number) => void
  sendDeviceClick: (deviceId: string, screenX: number, screenY: number) => void
  sendDeviceDrag: (deviceId: string, position: [number, number, number]) => void
  sendConnectionCreate: (sourceDeviceId: string, targetDeviceId: string, type: string) => void
}

export function useRemoteRender(options: UseRemoteRenderOptions): UseRemoteRenderResult {
  const { signalingServerUrl, userId, projectId, autoConnect = false } = options
  const [connected, setConnected] = useState(false)
  const [loading, setLoading] = useState(false)
  const [error, setError] = useState<Error | null>(null)
  const [stats, setStats] = useState<RTCStats | null>(null)
  const [queuePosition, setQueuePosition] = useState<number | null>(null)
  const videoRef = useRef<HTMLVideoElement | null>(null)
  const clientRef = useRef<RemoteRenderClient | null>(null)
  const onErrorRef = useRef(options.onError)
  onErrorRef.current = options.onError
  const tokenRef = useRef(options.token)
  tokenRef.current = options.token

  const disconnect = useCallback(() => {
    const client = clientRef.current
    clientRef.current = null
    client?.disconnect()
    setConnected(false)
    setLoading(false)
    setQueuePosition(null)
    setStats(null)
  }, [])

  const connect = useCallback(async () => {
    const video = videoRef.current
    if (video === null) {
      const missing = new Error('Video element not ready')
      setError(missing)
      onErrorRef.current?.(missing)
      return
    }
    clientRef.current?.disconnect()
    setLoading(true)
    setError(null)
    const client = new RemoteRenderClient({
      signalingServerUrl,
      videoElement: video,
      token: () => {
        const token = tokenRef.current
        return typeof token === 'function' ? token() : (token ?? null)
      },
    })
    clientRef.current = client
    const mine = (act: () => void) => (): void => {
      if (clientRef.current === client) act()
    }
    client.on('connected', mine(() => {
      setConnected(true)
      setError(null)
    }))
    client.on('disconnected', mine(() => {
      setConnected(false)
      setStats(null)
      setError(client.endedBy)
    }))
    client.on('status', (status) => mine(() => {
      if (status !== 'queued') setQueuePosition(null)
    })())
    client.on('queued', ({ position }) => mine(() => setQueuePosition(position))())
    client.on('stats', (value) => mine(() => setStats(value))())
    client.on('error', (problem) => mine(() => {
      if (!client.connected) setError(problem)
      onErrorRef.current?.(problem)
    })())
    try {
      await client.connect(userId, projectId)
    } catch {
      // reported through the error event
    } finally {
      mine(() => {
        setLoading(false)
        setQueuePosition(null)
      })()
    }
  }, [signalingServerUrl, userId, projectId])

  useEffect(() => {
    if (autoConnect) void connect()
    return disconnect
  }, [autoConnect, connect, disconnect])

  const sendCameraOrbit = useCallback((deltaX: number, deltaY: number) => {
    clientRef.current?.sendCameraOrbit(deltaX, deltaY)
  }, [])
  const sendCameraZoom = useCallback((delta: number) => {
    clientRef.current?.sendCameraZoom(delta)
  }, [])
  const sendDeviceClick = useCallback((deviceId: string, screenX: number, screenY: number) => {
    clientRef.current?.sendDeviceClick(deviceId, screenX, screenY)
  }, [])
  const sendDeviceDrag = useCallback((deviceId: string, position: [number, number, number]) => {
    clientRef.current?.sendDeviceDrag(deviceId, position)
  }, [])
  const sendConnectionCreate = useCallback(
    (sourceDeviceId: string, targetDeviceId: string, type: string) => {
      clientRef.current?.sendConnectionCreate(sourceDeviceId, targetDeviceId, type)
    },
    [],
  )

  return {
    videoRef,
    connected,
    loading,
    error,
    stats,
    queuePosition,
    connect,
    disconnect,
    sendCameraOrbit,
    sendCameraZoom,
    sendDeviceClick,
    sendDeviceDrag,
    sendConnectionCreate,
  }
}
