// @vitest-environment happy-dom
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { RemoteRenderClient } from '../src/client'
import type { ClientEvents } from '../src/config'
import { Emitter } from '../src/events'
import { Controls } from '../src/page/controls'
import { Keyboard } from '../src/page/keyboard'
import { Workspace } from '../src/page/workspace'

const CAMERA = { azimuth: -90, elevation: 40, distance: 20, target: [0, 0, 0], fov: 40 }
const PICTURE = { width: 1280, height: 720 }

class FakeClient extends Emitter<ClientEvents> {
  sent: unknown[][] = []
  sendCameraOrbit = (...rest: unknown[]) => this.sent.push(['orbit', ...rest])
  sendCameraZoom = (...rest: unknown[]) => this.sent.push(['zoom', ...rest])
  sendDeviceClick = (...rest: unknown[]) => this.sent.push(['click', ...rest])
  sendDeviceDrag = (...rest: unknown[]) => this.sent.push(['drag', ...rest])
  sendConnectionCreate = (...rest: unknown[]) => this.sent.push(['connect', ...rest])
  requestState = () => undefined
  says<K extends keyof ClientEvents>(event: K, value: ClientEvents[K]): void {
    this.emit(event, value)
  }
  of(kind: string): unknown[][] {
    return this.sent.filter(([first]) => first === kind).map(([, ...rest]) => rest)
  }
}

let client: FakeClient
let workspace: Workspace
let video: HTMLVideoElement

function select(id: string, position = [1, 2, 0], revision = 1): void {
  client.says('selected', id)
  const device = { id, kind: 'press', position }
  client.says('state', { revision, state: { camera: CAMERA, selection: id, device } })
}

function pointer(type: string, x: number, y: number, more: Partial<PointerEventInit> = {}): void {
  const init = { clientX: x, clientY: y, button: 0, pointerId: 1, pointerType: 'mouse', ...more }
  video.dispatchEvent(new PointerEvent(type, init))
}

function press(key: string): void {
  document.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))
}

beforeEach(() => {
  vi.useFakeTimers()
  document.body.replaceChildren()
  client = new FakeClient()
  workspace = new Workspace(client as unknown as RemoteRenderClient)
  video = document.createElement('video')
  document.body.append(video)
  Object.defineProperties(video, {
    videoWidth: { value: PICTURE.width },
    videoHeight: { value: PICTURE.height },
    setPointerCapture: { value: () => undefined },
  })
  video.getBoundingClientRect = () => new DOMRect(0, 0, PICTURE.width, PICTURE.height)
  const controls = new Controls(video, workspace)
  new Keyboard(video, document.createElement('div'), workspace, controls)
})

describe('the pointer', () => {
  it('turns the camera when dragged and selects when clicked', () => {
    pointer('pointerdown', 100, 100)
    pointer('pointermove', 130, 90)
    pointer('pointerup', 130, 90)
    expect(client.of('orbit')).toEqual([[30, -10]])
    expect(client.of('click')).toEqual([])
    pointer('pointerdown', 100, 100)
    pointer('pointermove', 102, 100)
    pointer('pointerup', 102, 100)
    expect(client.of('click')).toEqual([['', 100, 100]])
  })

  it('does not select when the browser takes the gesture away', () => {
    pointer('pointerdown', 100, 100)
    pointer('pointercancel', 100, 100)
    expect(client.of('click')).toEqual([])
  })

  it('moves the selected device with shift, without a jump, and commits the last place', () => {
    select('d1')
    pointer('pointerdown', 640, 360, { shiftKey: true })
    pointer('pointermove', 700, 360)
    pointer('pointermove', 640, 360)
    pointer('pointerup', 640, 360)
    const drags = client.of('drag')
    expect(drags.map(([id, , end]) => [id, end])).toEqual([
      ['d1', false],
      ['d1', false],
      ['d1', true],
    ])
    const [x, y] = drags.at(-1)?.[1] as [number, number]
    expect([x, y]).toEqual([expect.closeTo(1), expect.closeTo(2)])
    expect(client.of('orbit')).toEqual([])
  })

  it('zooms with two fingers, and neither turns nor selects then', () => {
    pointer('pointerdown', 600, 300, { pointerType: 'touch' })
    pointer('pointerdown', 700, 300, { pointerType: 'touch', pointerId: 2 })
    pointer('pointermove', 800, 300, { pointerType: 'touch', pointerId: 2 })
    pointer('pointerup', 800, 300, { pointerType: 'touch', pointerId: 2 })
    pointer('pointerup', 600, 300, { pointerType: 'touch' })
    expect(client.of('zoom').flat()).toEqual([expect.closeTo(Math.log(2) / -Math.log(0.9))])
    expect([client.of('orbit'), client.of('click')]).toEqual([[], []])
  })

  it('zooms by wheel notches, however finely the wheel reports', () => {
    for (let i = 0; i < 20; i++) video.dispatchEvent(new WheelEvent('wheel', { deltaY: -5 }))
    const steps = client.of('zoom').flat() as number[]
    expect(steps.reduce((a, b) => a + b)).toBeCloseTo(1)
  })
})

describe('the keyboard', () => {
  it('turns, or moves the selected device while that is the mode', () => {
    press('ArrowLeft')
    expect(client.of('orbit')).toEqual([[-24, -0]])
    select('d1')
    press('m')
    press('ArrowRight')
    press('ArrowUp')
    // Seen from azimuth -90, right is +x and up is +y.
    expect(workspace.position).toEqual([expect.closeTo(1.25), expect.closeTo(2.25), 0])
    vi.advanceTimersByTime(1_000)
    expect(client.of('drag').map(([, , end]) => end)).toEqual([false, false, true])
  })

  it('leaves a focused control its own keys', () => {
    const button = document.createElement('button')
    document.body.append(button)
    for (const key of ['Enter', 'ArrowLeft']) {
      button.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))
    }
    expect([client.of('click'), client.of('orbit')]).toEqual([[], [[-24, -0]]])
  })
})

describe('connecting', () => {
  it('takes the next selected device as the other end, once', () => {
    const linked = vi.fn()
    workspace.onLinked = linked
    select('d1')
    press('c')
    client.says('selected', 'd2')
    client.says('selected', 'd3')
    expect(client.of('connect')).toEqual([['d1', 'd2', 'conveyor']])
    expect(linked).toHaveBeenCalledExactlyOnceWith('d1', 'd2', 'conveyor')
  })

  it('is cancelled by Escape, and by selecting nothing', () => {
    select('d1')
    press('c')
    press('Escape')
    client.says('selected', 'd2')
    press('c')
    client.says('selected', null)
    client.says('selected', 'd3')
    expect(client.of('connect')).toEqual([])
  })
})

describe('the state', () => {
  it('that was overtaken is ignored, until another worker counts anew', () => {
    select('d1', [1, 2, 0], 7)
    select('d1', [9, 9, 0], 6)
    expect(workspace.position).toEqual([1, 2, 0])
    client.says('workerReplaced', { workerId: 'w2' })
    select('d1', [3, 4, 0], 1)
    expect(workspace.position).toEqual([3, 4, 0])
  })

  it('does not move the device that is being dragged', () => {
    select('d1')
    pointer('pointerdown', 640, 360, { shiftKey: true })
    pointer('pointermove', 700, 360)
    const place = workspace.position
    select('d1', [1, 2, 0], 2)
    expect(workspace.position).toBe(place)
  })

  it('is forgotten with the session', () => {
    select('d1')
    client.says('disconnected', undefined)
    expect([workspace.selected, workspace.state]).toEqual([null, null])
  })
})
