// @vitest-environment happy-dom
import { StrictMode, act } from 'react'
import { createRoot, type Root } from 'react-dom/client'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import {
  useRemoteRender,
  type UseRemoteRenderOptions,
  type UseRemoteRenderResult,
} from '../src/react'
import { FakePeer, FakeSocket, FakeVideo, settle } from './fakes'

const CREATED = { type: 'session-created', sessionId: 's1', workerId: 'w1', endpoint: '' }

let root: Root
let hook: UseRemoteRenderResult
let video: FakeVideo
let before: number

function Viewer(options: Partial<UseRemoteRenderOptions>): null {
  const result = useRemoteRender({
    signalingServerUrl: 'ws://server.test',
    userId: 'u',
    projectId: 'p',
    ...options,
  })
  hook = result
  if (result.videoRef.current === null) {
    result.videoRef.current = video as unknown as HTMLVideoElement
  }
  return null
}

async function join(): Promise<void> {
  await act(async () => {
    FakeSocket.last.open()
    await settle()
    FakeSocket.last.receive(CREATED)
    await settle()
    FakePeer.last.ontrack?.({ track: { kind: 'video' }, streams: [{}] })
    video.present()
    await settle()
  })
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
  FakeSocket.opened = []
  FakePeer.made = []
  video = new FakeVideo()
  vi.stubGlobal('WebSocket', FakeSocket)
  vi.stubGlobal('RTCPeerConnection', FakePeer)
  vi.stubGlobal('RTCRtpReceiver', { getCapabilities: () => ({ codecs: [] }) })
  root = createRoot(document.createElement('div'))
  before = vi.getTimerCount()
})

afterEach(() => {
  act(() => root.unmount())
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

it('connects by itself when asked to, and says how far it is', async () => {
  await act(async () => root.render(<Viewer autoConnect />))
  expect([hook.loading, hook.connected]).toEqual([true, false])
  await join()
  expect([hook.loading, hook.connected, hook.error]).toEqual([false, true, null])
})

it('waits to be asked by default', async () => {
  await act(async () => root.render(<Viewer />))
  expect(FakeSocket.opened).toEqual([])
  await act(async () => {
    void hook.connect()
    await settle()
  })
  expect(FakeSocket.opened).toHaveLength(1)
})

it('shows the queue, then forgets it', async () => {
  await act(async () => root.render(<Viewer autoConnect />))
  await act(async () => {
    FakeSocket.last.open()
    await settle()
    FakeSocket.last.receive({ type: 'queued', position: 3, etaMs: null })
  })
  expect(hook.queuePosition).toBe(3)
  await join()
  expect(hook.queuePosition).toBeNull()
})

it('tells an error once, and is no longer loading', async () => {
  const errors: Error[] = []
  await act(async () => root.render(<Viewer autoConnect onError={(e) => errors.push(e)} />))
  await act(async () => {
    FakeSocket.last.drop()
    await settle()
  })
  expect(errors).toHaveLength(1)
  expect([hook.loading, hook.error]).toEqual([false, errors[0]])
})

it('shows why a session ended, and not what merely went wrong in it', async () => {
  const errors: string[] = []
  await act(async () => root.render(<Viewer autoConnect onError={(e) => errors.push(e.message)} />))
  await join()
  const hear = (message: Record<string, unknown>): Promise<void> =>
    act(async () => FakeSocket.last.receive(message))
  await hear({ type: 'error', error: 'no such candidate', code: 'bad_candidate' })
  expect([hook.connected, hook.error, errors]).toEqual([true, null, ['no such candidate']])
  await hear({ type: 'error', error: 'it was lost', code: 'worker_lost' })
  await hear({ type: 'session-ended', reason: 'worker_lost' })
  expect([hook.connected, hook.error?.message, errors.length]).toEqual([false, 'it was lost', 2])
})

it('keeps its session when the token is renewed, and uses the new one next', async () => {
  await act(async () => root.render(<Viewer autoConnect token="one" />))
  await join()
  await act(async () => root.render(<Viewer autoConnect token="two" />))
  expect(FakeSocket.opened).toHaveLength(1)
  await act(async () => hook.disconnect())
  await act(async () => void hook.connect())
  expect(FakeSocket.opened.map((socket) => socket.protocols[1])).toEqual(['token.one', 'token.two'])
})

it('sends inputs with one stable function each', async () => {
  await act(async () => root.render(<Viewer autoConnect />))
  const early = hook.sendCameraOrbit
  await join()
  for (const channel of FakePeer.last.channels) channel.open()
  expect(hook.sendCameraOrbit).toBe(early)
  early(1, 2)
  hook.sendConnectionCreate('a', 'b', 'pipe')
  expect(FakePeer.last.channel('input').sent).toMatchObject([{ type: 'camera:orbit' }])
  expect(FakePeer.last.channel('edit').sent).toMatchObject([{ type: 'connection:create' }])
})

it('leaves nothing open when it is unmounted', async () => {
  await act(async () => root.render(<Viewer autoConnect />))
  await join()
  await act(async () => root.unmount())
  expect(FakePeer.made.every((peer) => peer.closed)).toBe(true)
  expect(FakeSocket.opened.every((socket) => socket.closed)).toBe(true)
  expect(video.srcObject).toBeNull()
  expect(vi.getTimerCount()).toBe(before)
  root = createRoot(document.createElement('div'))
})

it('holds one session in strict mode, which mounts twice', async () => {
  await act(async () =>
    root.render(
      <StrictMode>
        <Viewer autoConnect />
      </StrictMode>,
    ),
  )
  await join()
  expect(FakeSocket.opened.filter((socket) => !socket.closed)).toHaveLength(1)
  expect(hook.connected).toBe(true)
})

it('leaves the old project and joins the new one when the project changes', async () => {
  await act(async () => root.render(<Viewer autoConnect projectId="one" />))
  await join()
  await act(async () => root.render(<Viewer autoConnect projectId="two" />))
  const open = FakeSocket.opened.filter((socket) => !socket.closed)
  expect(open.map((socket) => new URL(socket.url).searchParams.get('projectId'))).toEqual(['two'])
})
