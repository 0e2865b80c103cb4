/**
 * Input-to-frame latency in the browser: from sending an input to the presentation of the
 * frame that the worker's `input:ack` names, known by the block code in the picture.
 */

import { STRIP_HEIGHT, STRIP_WIDTH, readBlockCode } from './blockcode.js'

const KEPT_FRAMES = 256
const KEPT_SAMPLES = 10_000
const KEPT_INPUTS_MS = 2_000
const ID_RANGE = 1 << 24

/** One input, in ms from sending it. */
export interface LatencySample {
  /** To the frame's hand-over to the compositor. */
  presentedMs: number
  /** To the frame's last packet; null where a later frame was presented in its place. */
  receivedMs: number | null
}

/** When a frame was received and presented, in ms of the page's clock. */
interface Shown {
  presentedAt: number
  receivedAt: number | null
}

/** Matches inputs, acknowledgements and presented frames, in whatever order they come. Pure. */
export class LatencyMatcher {
  private readonly inputs = new Map<number, number>()
  private readonly acknowledged = new Map<number, number[]>()
  private readonly frames = new Map<number, Shown>()
  private samples: LatencySample[] = []

  sent(seq: number, atMs: number): void {
    this.inputs.set(seq, atMs)
    for (const [old, at] of this.inputs) {
      if (atMs - at <= KEPT_INPUTS_MS) break
      this.inputs.delete(old)
    }
  }

  ack(frameId: number, seqs: readonly number[]): void {
    const named = frameId % ID_RANGE
    for (const [id, shown] of this.frames) {
      if (!isBehind(named, id)) continue
      this.complete(seqs, id === named ? shown : { ...shown, receivedAt: null })
      return
    }
    remember(this.acknowledged, named, [...seqs])
  }

  /** A frame was presented; a frame that the player skipped counts with the next one. */
  frame(id: number, presentedAt: number, receivedAt: number | null = null): void {
    if (this.frames.has(id)) return
    remember(this.frames, id, { presentedAt, receivedAt })
    for (const [waiting, seqs] of this.acknowledged) {
      if (!isBehind(waiting, id)) continue
      this.acknowledged.delete(waiting)
      this.complete(seqs, { presentedAt, receivedAt: id === waiting ? receivedAt : null })
    }
  }

  /** Another worker: its frame ids begin anew. */
  restart(): void {
    this.inputs.clear()
    this.acknowledged.clear()
    this.frames.clear()
  }

  /** The samples since the last call. */
  take(): LatencySample[] {
    const taken = this.samples
    this.samples = []
    return taken
  }

  private complete(seqs: readonly number[], shown: Shown): void {
    for (const seq of seqs) {
      const at = this.inputs.get(seq)
      if (at === undefined) continue
      this.inputs.delete(seq)
      this.samples.push({
        presentedMs: shown.presentedAt - at,
        receivedMs: shown.receivedAt === null ? null : shown.receivedAt - at,
      })
    }
  }
}

/** Whether a frame is the other one or came before it; ids wrap around. */
function isBehind(id: number, other: number): boolean {
  return (other - id + ID_RANGE) % ID_RANGE < ID_RANGE / 2
}

function remember<V>(map: Map<number, V>, key: number, value: V): void {
  map.set(key, value)
  if (map.size <= KEPT_FRAMES) return
  const oldest = map.keys().next().value
  if (oldest !== undefined) map.delete(oldest)
}

/** The middle value; null for none. */
export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2
}

/** Watches a video element; needs `requestVideoFrameCallback`. */
export class LatencyProbe {
  private readonly matcher = new LatencyMatcher()
  private readonly context: CanvasRenderingContext2D | null
  private handle: number | null = null
  /** The latest samples, oldest first. */
  readonly history: LatencySample[] = []

  constructor(private readonly video: HTMLVideoElement) {
    const canvas = document.createElement('canvas')
    canvas.width = STRIP_WIDTH
    canvas.height = STRIP_HEIGHT
    this.context = canvas.getContext('2d', { willReadFrequently: true })
  }

  start(): void {
    if (this.handle !== null || !('requestVideoFrameCallback' in this.video)) return
    const watch: VideoFrameRequestCallback = (_now, frame) => {
      this.read(frame)
      this.handle = this.video.requestVideoFrameCallback(watch)
    }
    this.handle = this.video.requestVideoFrameCallback(watch)
  }

  stop(): void {
    if (this.handle !== null) this.video.cancelVideoFrameCallback(this.handle)
    this.handle = null
  }

  restart(): void {
    this.matcher.restart()
  }

  sent(seq: number): void {
    this.matcher.sent(seq, performance.now())
  }

  acknowledged(frameId: number, seqs: readonly number[]): void {
    this.matcher.ack(frameId, seqs)
  }

  /** Median to presentation since the last call, in ms; null without a sample. */
  take(): number | null {
    const samples = this.matcher.take()
    this.history.push(...samples)
    if (this.history.length > KEPT_SAMPLES) this.history.splice(0, KEPT_SAMPLES / 2)
    return median(samples.map((sample) => sample.presentedMs))
  }

  private read(frame: VideoFrameCallbackMetadata): void {
    if (this.context === null || this.video.videoWidth < STRIP_WIDTH) return
    this.context.drawImage(
      this.video, 0, 0, STRIP_WIDTH, STRIP_HEIGHT, 0, 0, STRIP_WIDTH, STRIP_HEIGHT,
    )
    const id = readBlockCode(this.context.getImageData(0, 0, STRIP_WIDTH, STRIP_HEIGHT).data)
    if (id !== null) this.matcher.frame(id, frame.presentationTime, frame.receiveTime ?? null)
  }
}
