/** What can go wrong with a session; stable, machine-readable. */
export type RemoteRenderErrorCode =
  | 'signaling_unreachable'
  | 'timeout'
  | 'peer_failed'
  | 'closed'
  | 'unsupported'
  | 'not_ready'
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

/** The one error type of this package; `retryable` says whether connecting again may help. */
export class RemoteRenderError extends Error {
  override readonly name = 'RemoteRenderError'

  constructor(
    message: string,
    readonly code: RemoteRenderErrorCode,
    readonly retryable: boolean = true,
    readonly retryAfterMs: number | null = null,
  ) {
    super(message)
  }

  static of(error: unknown): RemoteRenderError {
    if (error instanceof RemoteRenderError) return error
    return new RemoteRenderError('connecting failed', 'internal')
  }
}
