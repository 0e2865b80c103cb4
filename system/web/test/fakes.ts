/** Browser objects, small enough to be driven step by step. */

export class FakeSocket {
  static opened: FakeSocket[] = []
  readyState = 0
  sent: Array<Record<string, unknown>> = []
  closed = false
  onopen: (() => void) | null = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: { code: number; reason: string }) => void) | null = null

  constructor(
    readonly url: string,
    readonly protocols: string[] = [],
  ) {
    FakeSocket.opened.push(this)
  }

  static get last(): FakeSocket {
    const socket = FakeSocket.opened.at(-1)
    if (socket === undefined) throw new Error('no socket was opened')
    return socket
  }

  /** Whether pings are answered. */
  alive = true

  send(text: string): void {
    const message = JSON.parse(text) as Record<string, unknown>
    if (message['type'] !== 'ping') this.sent.push(message)
    else if (this.alive) this.receive({ ...message, type: 'pong' })
  }

  close(): void {
    this.closed = true
    this.readyState = 3
  }

  open(): void {
    this.readyState = 1
    this.onopen?.()
  }

  receive(message: Record<string, unknown>): void {
    this.onmessage?.({ data: JSON.stringify(message) })
  }

  drop(code = 1006): void {
    this.readyState = 3
    this.onclose?.({ code, reason: '' })
  }

  ofType(type: string): Array<Record<string, unknown>> {
    return this.sent.filter((message) => message['type'] === type)
  }
}

export class FakeChannel {
  readyState = 'connecting'
  bufferedAmount = 0
  sent: Array<Record<string, unknown>> = []
  onopen: (() => void) | null = null
  onmessage: ((event: { data: unknown }) => void) | null = null

  constructor(
    readonly label: string,
    readonly options: RTCDataChannelInit | undefined,
  ) {}

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>)
  }

  open(): void {
    this.readyState = 'open'
    this.onopen?.()
  }

  receive(message: Record<string, unknown>): void {
    this.onmessage?.({ data: JSON.stringify(message) })
  }
}

export class FakePeer {
  static made: FakePeer[] = []
  connectionState = 'new'
  channels: FakeChannel[] = []
  remote: unknown = null
  candidates: unknown[] = []
  /** Candidates that are gathered before the local description is set. */
  static eager: unknown[] = []
  preferences: unknown[] = []
  closed = false
  stats: Array<Record<string, unknown>> = []
  onicecandidate: ((event: { candidate: unknown }) => void) | null = null
  ontrack: ((event: unknown) => void) | null = null
  onconnectionstatechange: (() => void) | null = null

  constructor(readonly config: RTCConfiguration) {
    FakePeer.made.push(this)
  }

  static get last(): FakePeer {
    const peer = FakePeer.made.at(-1)
    if (peer === undefined) throw new Error('no peer connection was made')
    return peer
  }

  createDataChannel(label: string, options?: RTCDataChannelInit): FakeChannel {
    if (options?.maxRetransmits !== undefined && options.maxPacketLifeTime !== undefined) {
      throw new TypeError('maxRetransmits and maxPacketLifeTime exclude each other')
    }
    const channel = new FakeChannel(label, options)
    this.channels.push(channel)
    return channel
  }

  channel(label: string): FakeChannel {
    const found = this.channels.find((channel) => channel.label === label)
    if (found === undefined) throw new Error(`no channel ${label}`)
    return found
  }

  addTransceiver(): unknown {
    return {
      setCodecPreferences: (codecs: unknown[]) => {
        this.preferences = codecs
      },
    }
  }

  createOffer(): Promise<RTCSessionDescriptionInit> {
    return Promise.resolve({ type: 'offer', sdp: 'v=0' })
  }

  setLocalDescription(): Promise<void> {
    for (const candidate of FakePeer.eager) {
      this.onicecandidate?.({ candidate: { toJSON: () => candidate } })
    }
    return Promise.resolve()
  }

  setRemoteDescription(description: unknown): Promise<void> {
    this.remote = description
    return Promise.resolve()
  }

  addIceCandidate(candidate: unknown): Promise<void> {
    if (this.remote === null) return Promise.reject(new Error('no remote description'))
    this.candidates.push(candidate)
    return Promise.resolve()
  }

  getStats(): Promise<Array<Record<string, unknown>>> {
    return Promise.resolve(this.stats)
  }

  close(): void {
    this.closed = true
  }

  setState(state: string): void {
    this.connectionState = state
    this.onconnectionstatechange?.()
  }
}

export class FakeVideo extends EventTarget {
  srcObject: unknown = null
  videoWidth = 1280
  videoHeight = 720
  box = { x: 0, y: 0, width: 1280, height: 720 }
  muted = true
  /** Whether a page may play it without a click: always, muted only, or never. */
  autoplay: 'always' | 'muted' | 'never' = 'always'
  private callbacks: Array<(now: number) => void> = []

  play(): Promise<void> {
    if (this.autoplay === 'always' || (this.autoplay === 'muted' && this.muted)) {
      return Promise.resolve()
    }
    return Promise.reject(new DOMException('click first', 'NotAllowedError'))
  }

  getBoundingClientRect(): unknown {
    return this.box
  }

  requestVideoFrameCallback(callback: (now: number) => void): number {
    this.callbacks.push(callback)
    return this.callbacks.length
  }

  cancelVideoFrameCallback(): void {
    this.callbacks = []
  }

  present(): void {
    for (const callback of this.callbacks.splice(0)) callback(performance.now())
  }
}

/** Lets every settled promise run its continuations. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}
