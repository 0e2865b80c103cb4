/** Reads the frame id that the worker draws in the picture's top left corner. Pure. */

export const BLOCK_PX = 16
export const ROWS = 2
export const COLUMNS = 16
export const STRIP_WIDTH = BLOCK_PX * COLUMNS
export const STRIP_HEIGHT = BLOCK_PX * ROWS

/** Full-range levels, as a canvas has them: black 0, white 255. */
const MIDDLE = 128
const SURE = 35

/** CRC-8 (polynomial 0x07) of 24 bits, started at 0x5A. */
export function crc8(value: number): number {
  let crc = 0x5a
  for (let shift = 16; shift >= 0; shift -= 8) {
    crc ^= (value >> shift) & 0xff
    for (let bit = 0; bit < 8; bit++) {
      crc = crc & 0x80 ? ((crc << 1) ^ 0x07) & 0xff : (crc << 1) & 0xff
    }
  }
  return crc
}

/**
 * The frame id modulo 2^24, or null where the strip is absent or unsure.
 *
 * @param rgba pixels of the picture's top left STRIP_WIDTH x STRIP_HEIGHT corner, row by row.
 */
export function readBlockCode(rgba: Uint8ClampedArray): number | null {
  let id = 0
  let check = 0
  for (let block = 0; block < ROWS * COLUMNS; block++) {
    const level = blockLevel(rgba, block % COLUMNS, Math.floor(block / COLUMNS)) - MIDDLE
    if (Math.abs(level) < SURE) return null
    const bit = level > 0 ? 1 : 0
    if (block < 24) id = (id << 1) | bit
    else check = (check << 1) | bit
  }
  return crc8(id) === check ? id : null
}

/** Mean green level of the inner quarter of a block. */
function blockLevel(rgba: Uint8ClampedArray, column: number, row: number): number {
  const margin = BLOCK_PX / 4
  let sum = 0
  let count = 0
  for (let y = row * BLOCK_PX + margin; y < (row + 1) * BLOCK_PX - margin; y += 2) {
    for (let x = column * BLOCK_PX + margin; x < (column + 1) * BLOCK_PX - margin; x += 2) {
      sum += rgba[(y * STRIP_WIDTH + x) * 4 + 1] ?? 0
      count++
    }
  }
  return sum / count
}
