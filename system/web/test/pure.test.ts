import { describe, expect, it } from 'vitest'
import { COLUMNS, BLOCK_PX, ROWS, STRIP_HEIGHT, STRIP_WIDTH, crc8, readBlockCode } from '../src/blockcode'
import { floorAxes, floorPoint } from '../src/floor'
import { LatencyMatcher, median } from '../src/latency'
import { sparkline } from '../src/page/panel'
import { duration } from '../src/page/view'
import { CLICK_SLOP_PX, Gesture, toPicture } from '../src/pointer'
import { parse } from '../src/protocol'
import { readCamera, readDevice, readSelection } from '../src/scene'
import { endpointUrl, fullJitter, isFinal } from '../src/signaling'
import { StatsMeter } from '../src/stats'

function draw(id: number): Uint8ClampedArray {
  const word = ((id & 0xffffff) * 256 + crc8(id & 0xffffff)) >>> 0
  const rgba = new Uint8ClampedArray(STRIP_WIDTH * STRIP_HEIGHT * 4)
  for (let y = 0; y < STRIP_HEIGHT; y++) {
    for (let x = 0; x < STRIP_WIDTH; x++) {
      const block = Math.floor(y / BLOCK_PX) * COLUMNS + Math.floor(x / BLOCK_PX)
      const level = (word >>> (ROWS * COLUMNS - 1 - block)) & 1 ? 255 : 0
      rgba.fill(level, (y * STRIP_WIDTH + x) * 4, (y * STRIP_WIDTH + x) * 4 + 3)
    }
  }
  return rgba
}

describe('the block code', () => {
  it('has the checksum of the worker', () => {
    // python: system.media.marker._crc8 of these
    expect([0, 1, 0x123456, 0xffffff].map(crc8)).toEqual([163, 164, 223, 172])
  })
  it.each([0, 1, 77, 0x123456, 0xffffff])('reads the frame id %i back', (id) => {
    expect(readBlockCode(draw(id))).toBe(id)
  })
  it('is null for a plain picture and for an unsure one', () => {
    expect(readBlockCode(new Uint8ClampedArray(STRIP_WIDTH * STRIP_HEIGHT * 4))).toBeNull()
    expect(readBlockCode(draw(77).map((v) => 110 + v / 16))).toBeNull()
  })
  it('is null when a bit is wrong', () => {
    const rgba = draw(77)
    for (let y = 0; y < BLOCK_PX; y++) {
      for (let x = 0; x < BLOCK_PX; x++) {
        const at = (y * STRIP_WIDTH + x) * 4
        rgba.fill(255 - (rgba[at] ?? 0), at, at + 3)
      }
    }
    expect(readBlockCode(rgba)).toBeNull()
  })
})

describe('pointer coordinates', () => {
  it('go through the bars of object-fit: contain', () => {
    const wide = { width: 2000, height: 720 }
    const picture = { width: 1280, height: 720 }
    expect(toPicture({ x: 1000, y: 360 }, wide, picture)).toEqual({ x: 640, y: 360 })
    expect(toPicture({ x: 100, y: 360 }, wide, picture)).toBeNull()
    expect(toPicture({ x: 640, y: 0 }, { width: 1280, height: 1440 }, picture)).toBeNull()
  })
  it('scale with the element', () => {
    const point = toPicture({ x: 320, y: 180 }, { width: 640, height: 360 }, { width: 1280, height: 720 })
    expect(point).toEqual({ x: 640, y: 360 })
  })
  it.each([
    ['cover', { x: 0, y: 360 }, { x: 320, y: 360 }],
    ['fill', { x: 320, y: 360 }, { x: 640, y: 360 }],
    ['none', { x: 0, y: 0 }, { x: 320, y: 0 }],
    ['scale-down', { x: 320, y: 360 }, { x: 640, y: 360 }],
  ])('are right under object-fit: %s', (fit, point, pixel) => {
    const picture = { width: 1280, height: 720 }
    expect(toPicture(point, { width: 640, height: 720 }, picture, fit)).toEqual(pixel)
  })
  it('are null before there is a picture', () => {
    expect(toPicture({ x: 1, y: 1 }, { width: 10, height: 10 }, { width: 0, height: 0 })).toBeNull()
  })
})

describe('a gesture', () => {
  it('is a click while the pointer stays', () => {
    const gesture = new Gesture({ x: 10, y: 10 })
    expect(gesture.move({ x: 10 + CLICK_SLOP_PX, y: 10 })).toBeNull()
    expect(gesture.isClick).toBe(true)
  })
  it('is a drag once it has moved, even when it returns', () => {
    const gesture = new Gesture({ x: 10, y: 10 })
    expect(gesture.move({ x: 30, y: 10 })).toEqual({ deltaX: 20, deltaY: 0 })
    expect(gesture.move({ x: 10, y: 10 })).toEqual({ deltaX: -20, deltaY: 0 })
    expect(gesture.isClick).toBe(false)
  })
})

describe('the latency matcher', () => {
  const sample = (presentedMs: number, receivedMs: number | null = null) => ({
    presentedMs,
    receivedMs,
  })
  it('matches whether the frame or its acknowledgement comes first', () => {
    const matcher = new LatencyMatcher()
    matcher.sent(1, 0)
    matcher.sent(2, 5)
    matcher.ack(10, [1])
    matcher.frame(10, 40, 30)
    matcher.frame(11, 60, 50)
    matcher.ack(11, [2])
    expect(matcher.take()).toEqual([sample(40, 30), sample(55, 45)])
    expect(matcher.take()).toEqual([])
  })
  it('takes the next presented frame when the named one was skipped', () => {
    const matcher = new LatencyMatcher()
    matcher.sent(1, 0)
    matcher.ack(10, [1])
    matcher.frame(9, 20)
    matcher.frame(12, 70, 60)
    expect(matcher.take()).toEqual([sample(70)])
  })
  it('does so even when the acknowledgement comes last', () => {
    const matcher = new LatencyMatcher()
    matcher.sent(1, 0)
    matcher.frame(9, 20)
    matcher.frame(12, 70, 60)
    matcher.frame(13, 90, 80)
    matcher.ack(10, [1])
    expect(matcher.take()).toEqual([sample(70)])
  })
  it('counts a frame from when it was first presented', () => {
    const matcher = new LatencyMatcher()
    matcher.sent(1, 0)
    matcher.frame(10, 40)
    matcher.frame(10, 56)
    matcher.ack(10, [1])
    expect(matcher.take()).toEqual([sample(40)])
  })
  it('goes on where frame ids wrap around', () => {
    const matcher = new LatencyMatcher()
    matcher.sent(1, 0)
    matcher.ack(2 ** 24 - 1, [1])
    matcher.frame(2 ** 24 - 2, 10)
    matcher.frame(0, 30)
    expect(matcher.take()).toEqual([sample(30)])
  })
  it('does not count an input twice, nor one it never sent, nor one of another worker', () => {
    const matcher = new LatencyMatcher()
    matcher.sent(1, 0)
    matcher.frame(5, 30)
    matcher.ack(5, [1, 99])
    matcher.ack(5, [1])
    expect(matcher.take()).toEqual([sample(30)])
    matcher.sent(2, 100)
    matcher.restart()
    matcher.ack(5, [2])
    matcher.frame(5, 130)
    expect(matcher.take()).toEqual([])
  })
  it('knows the median', () => {
    expect(median([])).toBeNull()
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 2, 3])).toBe(2.5)
  })
})

describe('statistics', () => {
  const inbound = (timestamp: number, bytes: number, frames: number) => ({
    type: 'inbound-rtp',
    kind: 'video',
    timestamp,
    bytesReceived: bytes,
    framesReceived: frames,
    framesDecoded: frames,
    jitterBufferDelay: frames * 0.02,
    jitterBufferEmittedCount: frames,
  })
  it('are differences between two reports, whatever object the browser returns', () => {
    const meter = new StatsMeter()
    expect(meter.measure([inbound(1000, 1000, 10)]).bitrate).toBe(0)
    const stats = meter.measure([inbound(3000, 251_000, 70)])
    expect(stats.bitrate).toBe(1)
    expect(stats.fps).toBe(30)
    expect(stats.jitterBufferDelayMs).toBeCloseTo(20)
  })
  it('start anew after a reset', () => {
    const meter = new StatsMeter()
    meter.measure([inbound(1000, 1_000_000, 10)])
    meter.reset()
    expect(meter.measure([inbound(2000, 100, 1)]).bitrate).toBe(0)
  })
  it('are zero for an empty report', () => {
    expect(new StatsMeter().measure([])).toMatchObject({ fps: 0, bytesReceived: 0, rtt: 0 })
  })
})

describe('the floor', () => {
  const camera = {
    azimuth: -62,
    elevation: 38,
    distance: 28,
    target: [0, 0, 0] as [number, number, number],
    fov: 38,
  }
  const picture = { width: 1280, height: 720 }
  it('is under the middle of the picture where the camera looks', () => {
    const point = floorPoint(camera, { x: 640, y: 360 }, picture)
    expect(point?.map((v) => Math.abs(v) < 1e-9)).toEqual([true, true, true])
  })
  it('ends at the horizon', () => {
    expect(floorPoint({ ...camera, elevation: 5 }, { x: 640, y: 0 }, picture)).toBeNull()
  })
  it('agrees with the worker', () => {
    // python: system.media.picking.floor_point(Camera(target=(0, 0, 0)), 200, 500, 1280, 720)
    const point = floorPoint(camera, { x: 200, y: 500 }, picture)
    expect(point?.[0]).toBeCloseTo(-6.441312511558701, 6)
    expect(point?.[1]).toBeCloseTo(-9.313027224004227, 6)
  })
  it('has directions that look right and up', () => {
    const { right, up } = floorAxes({ ...camera, azimuth: 0 })
    // The eye is at +x and looks along -x: right is +y, up (away) is -x.
    expect(right.map(Math.round)).toEqual([-0, 1])
    expect(up.map(Math.round)).toEqual([-1, -0])
  })
  it('knows the selected device', () => {
    const device = { id: 'd', kind: 'press', position: [1, 2, 0] }
    expect(readDevice({ device })).toEqual(device)
    expect(readDevice({ device: { ...device, position: [1, 2] } })).toBeNull()
    expect(readDevice({ device: null })).toBeNull()
    expect([readSelection({ selection: 'd' }), readSelection({})]).toEqual(['d', null])
  })
  it('needs a whole camera', () => {
    expect(readCamera({ camera })).toEqual(camera)
    expect(readCamera({ camera: { ...camera, fov: 'wide' } })).toBeNull()
    expect(readCamera({})).toBeNull()
  })
})

describe('signaling', () => {
  it('turns page URLs into WebSocket URLs', () => {
    expect(endpointUrl('https://a.test/ws', 'u', 'p')).toBe('wss://a.test/ws?userId=u&projectId=p')
    expect(endpointUrl('ws://a.test', 'u&x', 'p')).toContain('userId=u%26x')
  })
  it('announces a resume in the URL, not its token', () => {
    expect(endpointUrl('ws://a.test/ws', 'u', 'p', true)).toContain('&resume=1')
  })
  it('knows which close codes are final', () => {
    expect([1008, 4401, 4409, 4410].map(isFinal)).toEqual([true, true, true, true])
    expect([1001, 1006, 4503, 4508, 4513].some(isFinal)).toBe(false)
  })
  it('spreads reconnections over the whole window', () => {
    expect(fullJitter(0, () => 0)).toBe(0)
    expect(fullJitter(0, () => 1)).toBe(250)
    expect(fullJitter(20, () => 1)).toBe(5000)
  })
  it('reads objects with a type and nothing else', () => {
    expect(parse('{"type":"pong"}')).toEqual({ type: 'pong' })
    for (const bad of ['{', '3', 'null', '[]', '{}', '{"type":1}', undefined, new Uint8Array(1)]) {
      expect(parse(bad)).toBeNull()
    }
  })
})

describe('a wait', () => {
  it('is told in seconds, then in minutes', () => {
    expect([200, 12_400, 89_000, 180_000].map(duration)).toEqual([
      'about 1 s',
      'about 12 s',
      'about 89 s',
      'about 3 min',
    ])
  })
})

describe('a sparkline', () => {
  it('ends at the right edge', () => {
    expect(sparkline([1, 2]).split(' ').at(-1)).toBe('100.0,1.0')
  })
})
