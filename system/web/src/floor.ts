/** Where a pixel of the picture meets the floor, from the camera in the worker's `state`. Pure. */

import type { Box, Point } from './pointer'

export interface CameraState {
  azimuth: number
  elevation: number
  distance: number
  target: [number, number, number]
  /** Vertical, degrees. */
  fov: number
}

/** The camera in a `state` message, or null where it has none. */
export function readCamera(state: Record<string, unknown>): CameraState | null {
  const camera = state['camera']
  if (typeof camera !== 'object' || camera === null) return null
  const { azimuth, elevation, distance, fov, target } = camera as Record<string, unknown>
  const numbers = [azimuth, elevation, distance, fov]
  if (!numbers.every((n) => typeof n === 'number' && Number.isFinite(n))) return null
  if (!Array.isArray(target) || target.length !== 3) return null
  return camera as CameraState
}

/** The floor point (z = 0, metres) under a pixel; null at or above the horizon. */
export function floorPoint(
  camera: CameraState,
  pixel: Point,
  picture: Box,
): [number, number, number] | null {
  const azimuth = (camera.azimuth * Math.PI) / 180
  const elevation = (camera.elevation * Math.PI) / 180
  const [ca, sa, ce, se] = [
    Math.cos(azimuth),
    Math.sin(azimuth),
    Math.cos(elevation),
    Math.sin(elevation),
  ]
  const [tx, ty, tz] = camera.target
  const eye = [
    tx + ca * ce * camera.distance,
    ty + sa * ce * camera.distance,
    tz + se * camera.distance,
  ] as const
  const forward = [-ca * ce, -sa * ce, -se] as const
  const right = [-sa, ca, 0] as const
  const down = [
    forward[1] * right[2] - forward[2] * right[1],
    forward[2] * right[0] - forward[0] * right[2],
    forward[0] * right[1] - forward[1] * right[0],
  ] as const
  const focal = picture.height / 2 / Math.tan((camera.fov * Math.PI) / 360)
  const x = pixel.x - picture.width / 2
  const y = pixel.y - picture.height / 2
  const ray = [
    x * right[0] + y * down[0] + focal * forward[0],
    x * right[1] + y * down[1] + focal * forward[1],
    x * right[2] + y * down[2] + focal * forward[2],
  ] as const
  const length = Math.hypot(...ray)
  if (ray[2] / length > -1e-6) return null
  const scale = -eye[2] / ray[2]
  return [eye[0] + ray[0] * scale, eye[1] + ray[1] * scale, 0]
}
