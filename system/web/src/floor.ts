/** Between pixels of the picture and the floor, for a camera of the worker's `state`. Pure. */

import type { Box, Point } from './pointer.js'
import type { CameraState } from './scene.js'

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

/** Floor directions (x, y) that look right and up in the picture. */
export function floorAxes(camera: CameraState): { right: [number, number]; up: [number, number] } {
  const azimuth = (camera.azimuth * Math.PI) / 180
  const [c, s] = [Math.cos(azimuth), Math.sin(azimuth)]
  return { right: [-s, c], up: [-c, -s] }
}
