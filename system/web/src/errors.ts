import type { FromServer } from './protocol.js'

/** What can go wrong with a session; stable, machine-readable. */
export type RemoteRenderErrorCode =
  | 'signaling_unreachable'
  | 'timeout'
  | 'peer_failed'
  | 'closed'
  | 'unsupported'
  | 'not_ready'
  | 'protocol_version'
  // codes that the server sends
  | 'bad_message'
  | 'unknown_type'
  | 'too_large'
  | 'bad_description'
  | 'bad_candidate'
  | 'too_many'
  | 'unauthorized'
  | 'forbidden'
  | 'no_capacity'
  | 'queue_full'
  | 'unavailable'
  | 'worker_lost'
  | 'connect_timeout'
  | 'stale_fence'
  | 'not_found'
  | 'conflict'
  | 'edit_refused'
  | 'resume_refused'
  | 'internal'

const HARMLESS: ReadonlySet<string> = new Set(['bad_candidate', 'bad_message', 'unknown_type'])

/** The one error type of this package; `retryable` says whether connecting again may help. */
export class RemoteRenderError extends Error {
  override readonly name = 'RemoteRenderError'

  constructor(
    message: string,
    readonly code: RemoteRenderErrorCode,
    readonly retryable: boolean = true,
    readonly retryAfterMs: number | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options)
  }

  /** About one message alone: a join may still succeed after it. */
  get harmless(): boolean {
    return HARMLESS.has(this.code)
  }

  /** What the server said. */
  static from(message: Extract<FromServer, { type: 'error' }>): RemoteRenderError {
    const { error, code = 'internal', retryable = false, retryAfterMs = null } = message
    return new RemoteRenderError(error, code, retryable, retryAfterMs)
  }

  /** The server has ended the session; `reason` may be empty. */
  static ended(reason: string): RemoteRenderError {
    const text = reason === '' ? 'the session has ended' : `the session has ended: ${reason}`
    return new RemoteRenderError(text, 'closed')
  }

  static version(theirs: number, ours: number): RemoteRenderError {
    const text = `the server speaks version ${theirs} of the protocol, this page version ${ours}`
    return new RemoteRenderError(text, 'protocol_version', false)
  }

  static of(error: unknown): RemoteRenderError {
    if (error instanceof RemoteRenderError) return error
    return new RemoteRenderError('connecting failed', 'internal', true, null, { cause: error })
  }
}
