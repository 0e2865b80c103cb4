/** When to come back on a session whose signaling socket was lost, and until when to try. */

import { RemoteRenderError } from './errors.js'
import { fullJitter } from './signaling.js'
import { Timer } from './timer.js'

/** The server keeps a suspended session so long. */
const WINDOW_MS = 120_000
/** Longer than opening a socket may take by itself. */
const OPEN_MS = 30_000
/** From the open socket to `session-resumed`. */
const ANSWER_MS = 10_000

export class Resumption {
  /** Single-use: replaced by every answer. Null before there is a session. */
  token: string | null = null
  private since: number | null = null
  private attempts = 0
  private readonly timer = new Timer()

  /** Whether the session is cut off from signaling. */
  get running(): boolean {
    return this.since !== null
  }

  /**
   * Calls `open` after a while, which sends the token.
   *
   * `again` is called when that failed or got no answer, `giveUp` when the time is over.
   */
  attempt(
    open: () => Promise<void>,
    again: () => void,
    giveUp: (error: RemoteRenderError) => void,
  ): void {
    const now = performance.now()
    this.since ??= now
    if (now - this.since > WINDOW_MS) {
      const text = 'the session could not be resumed in time'
      giveUp(new RemoteRenderError(text, 'signaling_unreachable'))
      return
    }
    this.timer.start(fullJitter(this.attempts++), () => {
      this.timer.start(OPEN_MS, again)
      open().then(
        () => this.running && this.timer.start(ANSWER_MS, again),
        () => this.running && this.timer.running && again(),
      )
    })
  }

  succeeded(token: string): void {
    this.stop()
    this.token = token
  }

  /** No timer is left, and no token. */
  stop(): void {
    this.timer.stop()
    this.since = null
    this.attempts = 0
    this.token = null
  }
}
