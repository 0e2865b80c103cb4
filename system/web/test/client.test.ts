import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { RemoteRenderClient } from '../src/client'
import type { RemoteRenderConfig } from '../src/config'
import { RemoteRenderError } from '../src/errors'
import { FakePeer, FakeSocket, FakeVideo, settle } from './fakes'

const CREATED = {
  type: 'session-created',
  sessionId: 's1',
  workerId: 'w1',
  endpoint: '',
  iceServers: [{ urls: 'turn:turn.test', username: 'u', credential: 'c' }],
  resumeToken: 'token-1',
  protocolVersion: 1,
}

function make(extra: Partial<RemoteRenderConfig> = {}): {
  client: RemoteRenderClient
  video: FakeVideo
} {
  const video = new FakeVideo()
  const client = new RemoteRenderClient({
    signalingServerUrl: 'ws://server.test/ws',
    videoElement: video as unknown as HTMLVideoElement,
    ...extra,
  })
  return { client, video }
}

function replace(workerId: string, negotiation: number): void {
  FakeSocket.last.receive({ type: 'worker-replaced', sessionId: 's1', workerId, negotiation })
}

async function connected(
  extra: Partial<RemoteRenderConfig> = {},
  shown: FakeVideo | null = null,
): Promise<{ client: RemoteRenderClient; video: FakeVideo }> {
  const own = make(extra)
  const made = { client: own.client, video: shown ?? own.video }
  const joined = made.client.connect('user', 'project')
  await settle()
  FakeSocket.last.open()
  await settle()
  FakeSocket.last.receive(CREATED)
  await settle()
  FakeSocket.last.receive({ type: 'answer', sdp: { type: 'answer', sdp: 'v=0' }, negotiation: 1 })
  await settle()
  FakePeer.last.ontrack?.({ track: { kind: 'video' }, streams: [{}] })
  for (const channel of FakePeer.last.channels) channel.open()
  made.video.present()
  await joined
  return made
}

beforeEach(() => {
  vi.useFakeTimers()
  FakeSocket.opened = []
  FakePeer.made = []
  FakePeer.eager = []
  vi.stubGlobal('WebSocket', FakeSocket)
  vi.stubGlobal('RTCPeerConnection', FakePeer)
  vi.stubGlobal('document', { createElement: () => ({ getContext: () => null }) })
  vi.stubGlobal('getComputedStyle', () => ({ objectFit: 'contain' }))
  vi.stubGlobal('RTCRtpReceiver', {
    getCapabilities: () => ({
      codecs: [{ mimeType: 'video/VP8' }, { mimeType: 'video/H264' }, { mimeType: 'video/rtx' }],
    }),
  })
})

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

describe('connect', () => {
  it('resolves when the first frame is presented, not before', async () => {
    const { client, video } = make()
    let resolved = false
    const joined = client.connect('user', 'project').then(() => {
      resolved = true
    })
    FakeSocket.last.open()
    await settle()
    FakeSocket.last.receive(CREATED)
    await settle()
    FakePeer.last.ontrack?.({ track: { kind: 'video' }, streams: [{}] })
    await settle()
    expect(resolved).toBe(false)
    video.present()
    await joined
    expect(client.connected).toBe(true)
    expect(client.sessionId).toBe('s1')
  })

  it('puts user and project in the query and the token in a subprotocol', async () => {
    const { client } = make({ token: 'secret' })
    client.connect('a b', 'p').catch(() => undefined)
    const url = new URL(FakeSocket.last.url)
    expect(url.searchParams.get('userId')).toBe('a b')
    expect(url.searchParams.get('projectId')).toBe('p')
    expect(FakeSocket.last.url).not.toContain('secret')
    expect(FakeSocket.last.protocols).toContain('token.secret')
  })

  it('uses the ICE servers that the server names and no others by default', async () => {
    await connected()
    expect(FakePeer.last.config.iceServers).toEqual(CREATED.iceServers)
  })

  it('prefers H.264 where the browser has it', async () => {
    await connected()
    expect(FakePeer.last.preferences[0]).toEqual({ mimeType: 'video/H264' })
    expect(FakePeer.last.preferences).toHaveLength(3)
  })

  it('offers no H.264 where VP8 is asked for', async () => {
    await connected({ codec: 'vp8' })
    expect(FakePeer.last.preferences).toEqual([
      { mimeType: 'video/VP8' },
      { mimeType: 'video/rtx' },
    ])
  })

  it('rejects with a typed error when signaling is unreachable', async () => {
    const { client } = make()
    const joined = client.connect('user', 'project')
    FakeSocket.last.drop()
    await expect(joined).rejects.toMatchObject({ code: 'signaling_unreachable' })
    await expect(joined).rejects.toBeInstanceOf(RemoteRenderError)
  })

  it('rejects with a timeout when no picture comes, and closes everything', async () => {
    const { client } = make({ connectTimeoutMs: 1_000 })
    const joined = client.connect('user', 'project')
    joined.catch(() => undefined)
    FakeSocket.last.open()
    await settle()
    FakeSocket.last.receive(CREATED)
    await settle()
    await vi.advanceTimersByTimeAsync(1_001)
    await expect(joined).rejects.toMatchObject({ code: 'timeout' })
    expect(FakePeer.last.closed).toBe(true)
    expect(FakeSocket.last.closed).toBe(true)
  })

  it('waits in the queue for as long as it takes', async () => {
    const queued: Array<[number, number | null]> = []
    const { client } = make({
      connectTimeoutMs: 1_000,
      onQueued: (position, eta) => queued.push([position, eta]),
    })
    const joined = client.connect('user', 'project')
    joined.catch(() => undefined)
    FakeSocket.last.open()
    await settle()
    FakeSocket.last.receive({ type: 'queued', position: 2, etaMs: 3000 })
    FakeSocket.last.receive({ type: 'queued', position: 1 })
    await vi.advanceTimersByTimeAsync(60_000)
    expect(client.status).toBe('queued')
    expect(queued).toEqual([
      [2, 3000],
      [1, null],
    ])
  })

  it('goes on with the next worker, and its token, where the first one refuses', async () => {
    const { client, video } = make({ connectTimeoutMs: 1_000 })
    const joined = client.connect('user', 'project')
    FakeSocket.last.open()
    await settle()
    FakeSocket.last.receive(CREATED)
    await settle()
    FakeSocket.last.receive({ type: 'queued', position: 1 })
    await vi.advanceTimersByTimeAsync(5_000)
    const second = { sessionId: 's2', workerId: 'w2', resumeToken: 'token-2' }
    FakeSocket.last.receive({ ...CREATED, ...second })
    await settle()
    expect([client.sessionId, client.workerId, client.status]).toEqual(['s2', 'w2', 'connecting'])
    expect(FakeSocket.last.ofType('offer')).toHaveLength(1) // the server has kept it
    FakePeer.last.ontrack?.({ track: { kind: 'video' }, streams: [{}] })
    video.present()
    await joined
    FakeSocket.last.drop()
    await vi.advanceTimersByTimeAsync(1_000)
    FakeSocket.last.open()
    await settle()
    expect(FakeSocket.last.sent).toContainEqual({ type: 'resume', resumeToken: 'token-2' })
    client.disconnect()
  })

  it('says so where the server speaks another version of the protocol', async () => {
    const { client } = make()
    const joined = client.connect('user', 'project')
    joined.catch(() => undefined)
    FakeSocket.last.open()
    await settle()
    FakeSocket.last.receive({ ...CREATED, protocolVersion: 2 })
    await expect(joined).rejects.toMatchObject({ code: 'protocol_version', retryable: false })
    expect(client.endedBy?.message).toContain('version 2')
    expect(FakePeer.made).toEqual([])
  })

  it('rejects where the application has no join token', async () => {
    const cause = new Error('the login has expired')
    const { client } = make({ token: () => Promise.reject(cause) })
    const joined = client.connect('user', 'project')
    await expect(joined).rejects.toMatchObject({ code: 'unauthorized', cause })
    expect(FakeSocket.opened).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('mutes a video that may not play with sound: there is none', async () => {
    const onPlayBlocked = vi.fn()
    const video = new FakeVideo()
    Object.assign(video, { autoplay: 'muted', muted: false })
    await connected({ videoElement: video as unknown as HTMLVideoElement, onPlayBlocked }, video)
    await settle()
    expect(video.muted).toBe(true)
    expect(onPlayBlocked).not.toHaveBeenCalled()
  })

  it('resolves, and tells, where the browser wants a click before it shows video', async () => {
    const onPlayBlocked = vi.fn()
    const { client, video } = make({ onPlayBlocked })
    video.autoplay = 'never'
    const joined = client.connect('user', 'project')
    FakeSocket.last.open()
    await settle()
    FakeSocket.last.receive(CREATED)
    await settle()
    FakePeer.last.ontrack?.({ track: { kind: 'video' }, streams: [{}] })
    await joined
    expect(onPlayBlocked).toHaveBeenCalledOnce()
    expect(client.status).toBe('connected')
    client.disconnect()
  })

  it('refuses to begin while it has begun, and tells only its caller', async () => {
    const onError = vi.fn()
    const { client } = make({ onError })
    const first = client.connect('user', 'project')
    first.catch(() => undefined)
    await expect(client.connect('user', 'project')).rejects.toMatchObject({ code: 'not_ready' })
    expect([FakeSocket.opened.length, onError.mock.calls.length]).toEqual([1, 0])
    client.disconnect()
  })

  it('rejects with a timeout when the server says nothing at all', async () => {
    const { client } = make({ connectTimeoutMs: 1_000 })
    const joined = client.connect('user', 'project')
    joined.catch(() => undefined)
    FakeSocket.last.open()
    await vi.advanceTimersByTimeAsync(1_001)
    await expect(joined).rejects.toMatchObject({ code: 'timeout' })
  })

  it('goes on after an error about one candidate', async () => {
    const errors: string[] = []
    const { client } = make({ onError: (error) => errors.push(error.message) })
    client.connect('user', 'project').catch(() => undefined)
    FakeSocket.last.open()
    await settle()
    FakeSocket.last.receive({ type: 'error', error: 'not that one', code: 'bad_candidate' })
    expect([client.status, errors]).toEqual(['connecting', ['not that one']])
  })

  it('resolves in a hidden page too, where no frame callbacks come', async () => {
    const { client, video } = make()
    const joined = client.connect('user', 'project')
    FakeSocket.last.open()
    await settle()
    FakeSocket.last.receive(CREATED)
    await settle()
    FakePeer.last.ontrack?.({ track: { kind: 'video' }, streams: [{}] })
    video.dispatchEvent(new Event('loadeddata'))
    await joined
    expect(client.status).toBe('connected')
  })

  it("rejects with the server's code when it is refused", async () => {
    const { client } = make()
    const joined = client.connect('user', 'project')
    joined.catch(() => undefined)
    FakeSocket.last.open()
    await settle()
    FakeSocket.last.receive({ type: 'error', error: 'full', code: 'no_capacity', retryable: true })
    await expect(joined).rejects.toMatchObject({ code: 'no_capacity', retryable: true })
  })
})

describe('negotiation', () => {
  it('opens legal data channels: input lossy and unordered, edit reliable', async () => {
    await connected()
    expect(FakePeer.last.channel('input').options).toEqual({ ordered: false, maxRetransmits: 0 })
    expect(FakePeer.last.channel('edit').options).toBeUndefined()
  })

  it('holds candidates back until the description is there', async () => {
    const { client } = make()
    client.connect('user', 'project').catch(() => undefined)
    FakeSocket.last.open()
    await settle()
    FakeSocket.last.receive(CREATED)
    await settle()
    const candidate = { candidate: 'candidate:1', sdpMid: '0' }
    FakeSocket.last.receive({ type: 'ice-candidate', candidate, negotiation: 1 })
    await settle()
    expect(FakePeer.last.candidates).toEqual([])
    FakeSocket.last.receive({ type: 'answer', sdp: { type: 'answer', sdp: 'v=0' } })
    await settle()
    expect(FakePeer.last.candidates).toEqual([candidate])
  })

  it('makes a fresh peer connection when the worker was replaced', async () => {
    await connected()
    const first = FakePeer.last
    replace('w2', 2)
    await settle()
    expect(FakePeer.last).not.toBe(first)
    expect(FakeSocket.last.ofType('offer').at(-1)).toMatchObject({ negotiation: 2 })
    expect(first.closed).toBe(false) // the worker may still be there, and would think it a leaving
    FakeSocket.last.receive({ type: 'answer', sdp: { type: 'answer', sdp: 'v=0' }, negotiation: 2 })
    await settle()
    expect(first.closed).toBe(true)
  })

  it('says reconnecting until the other worker shows a frame', async () => {
    const { client, video } = await connected()
    replace('w2', 2)
    await settle()
    expect([client.status, client.workerId, client.connected]).toEqual(['reconnecting', 'w2', true])
    FakePeer.last.ontrack?.({ track: { kind: 'video' }, streams: [{}] })
    video.present()
    expect(client.status).toBe('connected')
  })

  it('waits for another worker as long as the server does, whatever becomes of the path', async () => {
    const { client } = await connected()
    FakeSocket.last.receive({ type: 'queued', position: 1 })
    expect([client.status, client.connected]).toEqual(['queued', true])
    FakePeer.last.setState('failed')
    await vi.advanceTimersByTimeAsync(60_000)
    expect(FakePeer.made).toHaveLength(1)
    replace('w2', 2)
    await settle()
    expect(FakeSocket.last.ofType('offer').at(-1)).toMatchObject({ negotiation: 2 })
    expect(client.status).toBe('reconnecting')
  })

  it('keeps saying that it waits while the old connection dies', async () => {
    const { client } = await connected()
    FakeSocket.last.receive({ type: 'queued', position: 1 })
    FakePeer.last.setState('disconnected')
    expect(client.status).toBe('queued')
    FakeSocket.last.drop()
    expect(client.status).toBe('reconnecting')
    client.disconnect()
  })

  it('never goes back in negotiations, whatever the server counts', async () => {
    const { client } = await connected()
    client.measureLatency(true)
    await settle()
    client.measureLatency(false)
    await settle()
    replace('w2', 2)
    await settle()
    expect(FakeSocket.last.ofType('offer').map((m) => m['negotiation'])).toEqual([1, 2, 3])
  })

  it('makes a fresh connection when the path broke, and gives up in the end', async () => {
    const errors: string[] = []
    const { client } = await connected({ onError: (error) => errors.push(error.message) })
    for (const negotiation of [2, 3, 4]) {
      FakePeer.last.setState('failed')
      await settle()
      expect(FakeSocket.last.ofType('offer').at(-1)).toMatchObject({ negotiation })
    }
    FakePeer.last.setState('failed')
    expect(client.status).toBe('closed')
    expect(errors).toEqual(['the peer connection failed'])
  })

  it('sends the offer before its candidates, however early they come', async () => {
    FakePeer.eager = [{ candidate: 'candidate:7' }]
    await connected()
    const kinds = FakeSocket.last.sent.map((m) => m['type'])
    expect(kinds).toEqual(['offer', 'ice-candidate'])
  })

  it('ignores an answer of an older negotiation', async () => {
    await connected()
    replace('w2', 2)
    await settle()
    FakeSocket.last.receive({ type: 'answer', sdp: { type: 'answer', sdp: 'old' }, negotiation: 1 })
    await settle()
    expect(FakePeer.last.remote).toBeNull()
  })
})

describe('a lost WebSocket', () => {
  it('keeps the video and resumes with the token, which rotates', async () => {
    const { client } = await connected()
    const peer = FakePeer.last
    FakeSocket.last.drop()
    expect(client.status).toBe('reconnecting')
    expect(peer.closed).toBe(false)
    await vi.advanceTimersByTimeAsync(6_000)
    FakeSocket.last.open()
    await settle()
    expect(FakeSocket.last.sent).toEqual([{ type: 'resume', resumeToken: 'token-1' }])
    FakeSocket.last.receive({
      type: 'session-resumed',
      sessionId: 's1',
      workerId: 'w1',
      resumeToken: 'token-2',
    })
    await settle()
    expect(client.status).toBe('connected')
    expect(FakePeer.last).toBe(peer)
    FakeSocket.last.drop()
    await vi.advanceTimersByTimeAsync(6_000)
    FakeSocket.last.open()
    await settle()
    expect(FakeSocket.last.sent).toEqual([{ type: 'resume', resumeToken: 'token-2' }])
  })

  const RESUMED = { type: 'session-resumed', sessionId: 's1', workerId: 'w1', resumeToken: 't2' }

  async function comeBack(): Promise<void> {
    await vi.advanceTimersByTimeAsync(6_000)
    FakeSocket.last.open()
    await settle()
  }

  it('announces the resume, so that no worker is allocated, and ignores one that is', async () => {
    await connected()
    const peer = FakePeer.last
    FakeSocket.last.drop()
    await comeBack()
    expect(new URL(FakeSocket.last.url).searchParams.get('resume')).toBe('1')
    FakeSocket.last.receive({ ...CREATED, sessionId: 's2' })
    FakeSocket.last.receive(RESUMED)
    await settle()
    expect(FakePeer.made).toEqual([peer])
  })

  it('is found when the server falls silent', async () => {
    const { client } = await connected()
    FakeSocket.last.alive = false
    await vi.advanceTimersByTimeAsync(20_300)
    expect(client.status).toBe('reconnecting')
    expect(FakeSocket.opened.length).toBeGreaterThan(1)
  })

  it('tries again when the server cannot resume yet, or does not answer', async () => {
    const { client } = await connected()
    FakeSocket.last.drop()
    await comeBack()
    const second = FakeSocket.last
    second.receive({ type: 'error', error: 'later', code: 'unavailable', retryable: true })
    expect(second.closed).toBe(true)
    await comeBack()
    const third = FakeSocket.last
    expect(third).not.toBe(second)
    await vi.advanceTimersByTimeAsync(16_000)
    expect(third.closed).toBe(true)
    expect(client.status).toBe('reconnecting')
    FakeSocket.last.open()
    await settle()
    FakeSocket.last.receive(RESUMED)
    expect(client.status).toBe('connected')
  })

  it('negotiates anew where the answer was lost with the socket', async () => {
    const { client } = await connected()
    client.measureLatency(true)
    await settle()
    FakeSocket.last.drop()
    await comeBack()
    FakeSocket.last.receive(RESUMED)
    await settle()
    expect(FakeSocket.last.ofType('offer')).toMatchObject([{ negotiation: 3 }])
  })

  it('waits for another worker where the session has none any more', async () => {
    const { client } = await connected()
    client.measureLatency(true)
    await settle()
    FakeSocket.last.drop()
    await comeBack()
    FakeSocket.last.receive({ ...RESUMED, workerId: '' })
    await settle()
    expect([FakeSocket.last.ofType('offer'), client.workerId]).toEqual([[], null])
    expect(client.status).toBe('reconnecting')
    replace('w2', 2)
    await settle()
    expect(FakeSocket.last.ofType('offer')).toMatchObject([{ negotiation: 3 }])
  })

  it('drops a socket that opens when another one is tried already', async () => {
    const { client } = await connected({ connectTimeoutMs: 60_000 })
    FakeSocket.last.drop()
    await vi.advanceTimersByTimeAsync(1_000)
    const late = FakeSocket.last
    await vi.advanceTimersByTimeAsync(36_000)
    const next = FakeSocket.last
    expect(next).not.toBe(late)
    late.open()
    next.open()
    await settle()
    expect([late.closed, late.sent]).toEqual([true, []])
    expect(next.sent).toEqual([{ type: 'resume', resumeToken: 'token-1' }])
    client.disconnect()
  })

  it('gives up after two minutes', async () => {
    const { client } = await connected()
    FakeSocket.last.drop()
    for (let i = 0; i < 120 && client.status === 'reconnecting'; i++) {
      await vi.advanceTimersByTimeAsync(5_001)
      if (FakeSocket.last.readyState === 0) FakeSocket.last.drop()
    }
    expect(client.status).toBe('closed')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('is the end where the server says so', async () => {
    const { client } = await connected()
    FakeSocket.last.drop(4409)
    expect(client.status).toBe('closed')
    expect(client.endedBy?.message).toContain('another window')
    expect(FakeSocket.opened).toHaveLength(1)
  })

  it('asks for a fresh token each time', async () => {
    let count = 0
    await connected({ token: () => Promise.resolve(`token${++count}`) })
    FakeSocket.last.drop()
    await vi.advanceTimersByTimeAsync(6_000)
    expect(FakeSocket.opened.map((socket) => socket.protocols[1])).toEqual([
      'token.token1',
      'token.token2',
    ])
  })

  it('ends the session when resuming is refused', async () => {
    const errors: string[] = []
    const { client } = await connected({ onError: (error) => errors.push(error.message) })
    FakeSocket.last.drop()
    await vi.advanceTimersByTimeAsync(6_000)
    FakeSocket.last.open()
    await settle()
    FakeSocket.last.receive({ type: 'error', error: 'no such session', code: 'resume_refused' })
    expect(client.status).toBe('closed')
    expect(errors).toEqual(['no such session'])
  })
})

describe('inputs', () => {
  it('carry the documented fields and a sequence number', async () => {
    const { client } = await connected()
    client.sendCameraOrbit(1, 2)
    client.sendCameraZoom(-1)
    client.sendDeviceClick('', 10, 20)
    client.sendDeviceDrag('d1', [1, 2, 0])
    const sent = FakePeer.last.channel('input').sent
    expect(sent.map((m) => [m['type'], m['seq']])).toEqual([
      ['camera:orbit', 1],
      ['camera:zoom', 2],
      ['device:click', 3],
      ['device:drag', 4],
    ])
    expect(sent[0]).toMatchObject({ data: { deltaX: 1, deltaY: 2 } })
    expect(sent[2]).toMatchObject({ data: { deviceId: '', screenX: 10, screenY: 20 } })
  })

  it('are told in pixels of the picture, wherever it lies in its element', async () => {
    const { client, video } = await connected()
    video.box = { x: 300, y: 50, width: 840, height: 360 }
    client.sendDeviceClick('', 100 + 320, 180)
    client.sendDeviceClick('', 20, 180) // on the bar beside the picture
    client.sendDeviceClick('d7', 20, 180)
    expect(FakePeer.last.channel('input').sent).toMatchObject([
      { data: { deviceId: '', screenX: 640, screenY: 360, width: 1280, height: 720 } },
      { data: { deviceId: 'd7' } },
    ])
  })

  it('say of a drag whether it ends only where the application does', async () => {
    const { client } = await connected()
    client.sendDeviceDrag('d1', [1, 2, 0])
    client.sendDeviceDrag('d1', [1, 2, 0], false)
    client.sendDeviceDrag('d1', [1, 2, 0], true)
    const data = { deviceId: 'd1', position: [1, 2, 0] }
    const input = FakePeer.last.channel('input').sent.map((message) => message['data'])
    expect(input).toEqual([data, { ...data, end: false }])
    expect(FakePeer.last.channel('edit').sent).toMatchObject([{ data: { ...data, end: true } }])
  })

  it('are dropped by a channel that throws', async () => {
    const { client } = await connected()
    FakePeer.last.channel('input').send = () => {
      throw new DOMException('full', 'OperationError')
    }
    client.sendCameraOrbit(1, 2)
    expect(client.status).toBe('connected')
  })

  it('sends an edit again on a fresh connection until it is acknowledged', async () => {
    const { client } = await connected()
    client.sendConnectionCreate('a', 'b', 'pipe')
    const first = FakePeer.last.channel('edit').sent
    expect(first).toHaveLength(1)
    const editId = first[0]?.['editId']
    replace('w2', 2)
    await settle()
    FakePeer.last.channel('edit').open()
    expect(FakePeer.last.channel('edit').sent[0]?.['editId']).toBe(editId)
    FakePeer.last.channel('edit').receive({ type: 'edit:ack', editId, index: 1 })
    replace('w3', 3)
    await settle()
    FakePeer.last.channel('edit').open()
    expect(FakePeer.last.channel('edit').sent).toEqual([])
  })

  it('are dropped while the channel is congested: they would be stale', async () => {
    const { client } = await connected()
    FakePeer.last.channel('input').bufferedAmount = 70_000
    client.sendCameraOrbit(1, 1)
    expect(FakePeer.last.channel('input').sent).toEqual([])
  })

  it('reports more edits than can wait', async () => {
    const errors: string[] = []
    const { client } = await connected({ onError: (error) => errors.push(error.message) })
    for (let i = 0; i < 257; i++) client.sendConnectionCreate('a', 'b', 'pipe')
    expect(errors).toHaveLength(1)
  })

  it('sends nothing and throws nothing when there is no connection', () => {
    const { client } = make()
    client.sendCameraOrbit(1, 1)
    expect(FakePeer.made).toEqual([])
  })
})

describe('the end', () => {
  it('calls onDisconnected once and leaves nothing open', async () => {
    const disconnected = vi.fn()
    const { client } = await connected({ onDisconnected: disconnected })
    client.disconnect()
    client.disconnect()
    FakePeer.last.setState('closed')
    FakeSocket.last.drop()
    expect(disconnected).toHaveBeenCalledTimes(1)
    expect(FakeSocket.last.ofType('bye')).toHaveLength(1)
    expect(FakePeer.last.closed).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('is told once when the server ends the session, with what it said before', async () => {
    const told: string[] = []
    const { client } = await connected({
      onDisconnected: () => told.push('disconnected'),
      onError: (error) => told.push(error.message),
    })
    FakeSocket.last.receive({ type: 'error', error: 'it was lost', code: 'worker_lost' })
    FakeSocket.last.receive({ type: 'session-ended', reason: 'worker_lost' })
    FakeSocket.last.drop(4410)
    expect(told).toEqual(['it was lost', 'disconnected'])
    expect(client.endedBy?.code).toBe('worker_lost')
    expect(client.status).toBe('closed')
  })

  it('is explained where nothing was said before', async () => {
    const told: string[] = []
    await connected({ onError: (error) => told.push(error.message) })
    FakeSocket.last.receive({ type: 'session-ended', reason: 'silent' })
    expect(told).toEqual(['the session has ended: silent'])
  })

  it('does not come from a listener that throws', async () => {
    const reported = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    const { client } = await connected({
      onSelected: () => {
        throw new Error('a bug of the page')
      },
    })
    FakePeer.last.channel('input').receive({ type: 'device:selected', deviceId: 'd1' })
    expect(client.status).toBe('connected')
    expect(reported).toHaveBeenCalledOnce()
    reported.mockRestore()
  })

  it('can connect again afterwards', async () => {
    const { client } = await connected()
    client.disconnect()
    client.connect('user', 'project').catch(() => undefined)
    expect(FakeSocket.opened).toHaveLength(2)
  })

  it('leaves no timer when the client leaves while connecting', async () => {
    const errors: Error[] = []
    const { client } = make({ onError: (error) => errors.push(error) })
    const joined = client.connect('user', 'project')
    joined.catch(() => undefined)
    FakeSocket.last.open()
    await settle()
    client.disconnect()
    await expect(joined).rejects.toMatchObject({ code: 'closed' })
    expect(vi.getTimerCount()).toBe(0)
    expect(errors).toEqual([]) // who leaves is not told so
  })
})

describe('statistics', () => {
  it('come each second with the documented fields', async () => {
    const seen: unknown[] = []
    const { client } = await connected({ onStats: (stats) => seen.push(stats) })
    await settle()
    expect(seen).toEqual([])
    const report = (timestamp: number, bytes: number, frames: number): void => {
      FakePeer.last.stats = [
        {
          type: 'inbound-rtp',
          kind: 'video',
          timestamp,
          bytesReceived: bytes,
          framesReceived: frames,
          packetsLost: 3,
          jitter: 0.002,
        },
        { type: 'candidate-pair', state: 'succeeded', nominated: true, currentRoundTripTime: 0.01 },
      ]
    }
    report(1_000, 0, 0)
    await vi.advanceTimersByTimeAsync(1_000)
    report(2_000, 125_000, 30)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(seen.at(-1)).toMatchObject({
      fps: 30,
      rtt: 10,
      packetsLost: 3,
      bytesReceived: 125_000,
      jitter: 0.002,
      bitrate: 1,
    })
    client.disconnect()
  })
})
