/** What the worker's `state` says of the scene: camera and selected device. Pure. */

export interface CameraState {
  azimuth: number
  elevation: number
  distance: number
  target: [number, number, number]
  /** Vertical, degrees. */
  fov: number
}

export interface DeviceState {
  id: string
  kind: string
  position: [number, number, number]
}

/** The camera in a `state` message, or null where it has none. */
export function readCamera(state: Record<string, unknown>): CameraState | null {
  const camera = state['camera']
  if (typeof camera !== 'object' || camera === null) return null
  const { azimuth, elevation, distance, fov, target } = camera as Record<string, unknown>
  if (![azimuth, elevation, distance, fov].every(isNumber) || !isTriple(target)) return null
  return camera as CameraState
}

/** The id of the selected device, or null for none. */
export function readSelection(state: Record<string, unknown>): string | null {
  const selection = state['selection']
  return typeof selection === 'string' ? selection : null
}

/** The selected device, or null for none. */
export function readDevice(state: Record<string, unknown>): DeviceState | null {
  const device = state['device']
  if (typeof device !== 'object' || device === null) return null
  const { id, kind, position } = device as Record<string, unknown>
  if (typeof id !== 'string' || typeof kind !== 'string' || !isTriple(position)) return null
  return { id, kind, position }
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

function isTriple(value: unknown): value is [number, number, number] {
  return Array.isArray(value) && value.length === 3 && value.every(isNumber)
}
