/**
 * Input-to-frame latency in the browser: from sending an input to the callback of the
 * frame that the worker's `input:ack` names, known by the block code in the picture.
 */

import { STRIP_HEIGHT, STRIP_WIDTH, readBlockCode } from './blockcode'

const KEPT_FRAMES = 256
const KEPT_INPUTS_MS = 2_000
const ID_RANGE = 1 << 24

/** Matches inputs, acknowledgements and presented frames, in whatever order they come. Pure. */
export class LatencyMatcher {
  private readonly inputs = new Map<number, number>()
  private readonly acknowledged = new Map<number, number[]>()
  private readonly frames = new Map<number, number>()
  private samples: number[] = []

  sent(seq: number, atMs: number): void {
    this.inputs.set(seq, atMs)
    for (const [old, at] of this.inputs) {
      if (atMs - at <= KEPT_INPUTS_MS) break
      this.inputs.delete(old)
    }
  }

  ack(frameId: number, seqs: readonly number[]): void {
    const id = frameId % ID_RANGE
    const shown = this.frames.get(id)
    if (shown !== undefined) this.complete(seqs, shown)
    else remember(this.acknowledged, id, [...seqs])
  }

  /** A frame was presented. A frame that was skipped by the player counts with the next one. */
  frame(id: number, atMs: number): void {
    remember(this.frames, id, atMs)
    for (const [waiting, seqs] of this.acknowledged) {
      const ahead = (id - waiting + ID_RANGE) % ID_RANGE
      if (ahead < ID_RANGE / 2) {
        this.acknowledged.delete(waiting)
        this.complete(seqs, atMs)
      }
    }
  }

  /** The samples since the last call, in ms. */
  take(): number[] {
    const taken = this.samples
    this.samples = []
    return taken
  }

  private complete(seqs: readonly number[], atMs: number): void {
    for (const seq of seqs) {
      const at = this.inputs.get(seq)
      if (at === undefined) continue
      this.inputs.delete(seq)
      this.samples.push(atMs - at)
    }
  }
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
  /** Every sample since the start, in ms; for tests and exports. */
  readonly history: number[] = []

  constructor(private readonly video: HTMLVideoElement) {
    const canvas = document.createElement('canvas')
    canvas.width = STRIP_WIDTH
    canvas.height = STRIP_HEIGHT
    this.context = canvas.getContext('2d', { willReadFrequently: true })
  }

  start(): void {
    if (this.handle !== null || !('requestVideoFrameCallback' in this.video)) return
    const watch = (now: number): void => {
      this.read(now)
      this.handle = this.video.requestVideoFrameCallback(watch)
    }
    this.handle = this.video.requestVideoFrameCallback(watch)
  }

  stop(): void {
    if (this.handle !== null) this.video.cancelVideoFrameCallback(this.handle)
    this.handle = null
  }

  sent(seq: number): void {
    this.matcher.sent(seq, performance.now())
  }

  acknowledged(frameId: number, seqs: readonly number[]): void {
    this.matcher.ack(frameId, seqs)
  }

  /** Median since the last call, in ms; null without a sample. */
  take(): number | null {
    const samples = this.matcher.take()
    if (this.history.length < 100_000) this.history.push(...samples)
    return median(samples)
  }

  private read(now: number): void {
    if (this.context === null || this.video.videoWidth < STRIP_WIDTH) return
    this.context.drawImage(
      this.video, 0, 0, STRIP_WIDTH, STRIP_HEIGHT, 0, 0, STRIP_WIDTH, STRIP_HEIGHT,
    )
    const id = readBlockCode(this.context.getImageData(0, 0, STRIP_WIDTH, STRIP_HEIGHT).data)
    if (id !== null) this.matcher.frame(id, now)
  }
}
