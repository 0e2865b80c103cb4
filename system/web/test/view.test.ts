// @vitest-environment happy-dom
import { beforeEach, expect, it } from 'vitest'
import page from '../index.html?raw'
import { RemoteRenderError, type RemoteRenderErrorCode } from '../src/errors'
import { StatusView } from '../src/page/view'

const BODY = /<body>([\s\S]*)<script/.exec(page)?.[1] ?? ''

/** All there are, or this does not compile. */
const CODES: Record<RemoteRenderErrorCode, true> = {
  signaling_unreachable: true,
  timeout: true,
  peer_failed: true,
  closed: true,
  unsupported: true,
  not_ready: true,
  protocol_version: true,
  bad_message: true,
  unknown_type: true,
  too_large: true,
  bad_description: true,
  bad_candidate: true,
  too_many: true,
  unauthorized: true,
  forbidden: true,
  no_capacity: true,
  queue_full: true,
  unavailable: true,
  worker_lost: true,
  connect_timeout: true,
  stale_fence: true,
  not_found: true,
  conflict: true,
  edit_refused: true,
  resume_refused: true,
  internal: true,
}

let view: StatusView

function shown(): string[] {
  const cards = [...document.querySelectorAll<HTMLElement>('#overlay > .card')]
  return cards.filter((card) => !card.hidden).map((card) => card.id)
}

function text(id: string): string {
  return document.getElementById(id)?.textContent ?? ''
}

beforeEach(() => {
  document.body.innerHTML = BODY
  view = new StatusView()
})

it.each(Object.keys(CODES) as RemoteRenderErrorCode[])(
  'is a card that says what is wrong and what to do after %s',
  (code) => {
    view.status('connecting')
    view.status('closed', new RemoteRenderError('it went wrong', code))
    expect(shown()).toEqual(['problem'])
    expect(text('problem-title').length).toBeGreaterThan(5)
    expect(text('problem-text')).toBe('It went wrong.')
    const retry = document.getElementById('retry') as HTMLButtonElement
    expect(retry.hidden).toBe(code === 'unsupported')
    expect(retry.textContent).toBe(code === 'protocol_version' ? 'Reload' : 'Retry')
    if (!retry.hidden) expect(document.activeElement).toBe(retry)
    expect(text('live')).toContain('It went wrong.')
  },
)

it('tells a screen reader of every step', () => {
  const heard: string[] = []
  const step = (act: () => void): void => {
    act()
    heard.push(text('live'))
  }
  step(() => view.status('connecting'))
  view.status('queued')
  step(() => view.queued(2, 12_000, false))
  step(() => view.queued(1, null, false))
  step(() => view.status('connected'))
  step(() => view.status('reconnecting'))
  step(() => view.replacing())
  step(() => view.say('press-1 → robot-2 (data)'))
  step(() => view.status('closed'))
  expect(heard).toEqual([
    'Connecting. A render worker is being reached…',
    'You are number 2 in the queue. All workers are busy. The wait is about 12 s.',
    'You are next. All workers are busy.',
    'Connected',
    'Reconnecting…',
    'The worker was lost: another one takes over…',
    'press-1 → robot-2 (data)',
    'Disconnected',
  ])
  expect(document.querySelectorAll('[role=status]')).toHaveLength(1)
})

it('offers to cancel while it waits, and to leave once it is there', () => {
  const label = (): string => text('connect')
  view.status('connecting')
  expect([label(), shown()]).toEqual(['Cancel', ['waiting']])
  view.status('queued')
  expect(label()).toBe('Cancel')
  view.status('connected')
  expect([label(), shown()]).toEqual(['Disconnect', []])
  view.status('closed')
  expect([label(), shown()]).toEqual(['Connect', ['idle']])
})

it('asks for a click where the browser wants one, until the video plays', () => {
  view.status('connected')
  view.blocked()
  view.status('reconnecting')
  view.status('connected')
  expect(shown()).toEqual(['blocked'])
  view.plays()
  expect(shown()).toEqual([])
})
