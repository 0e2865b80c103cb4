/** Where in its picture a point of a video element is. */

import { placing, toPicture, type Box, type Placing, type Point } from './pointer.js'

/** The size of the stream's pictures; zero before there is one. */
export function pictureOf(video: HTMLVideoElement): Box {
  return { width: video.videoWidth, height: video.videoHeight }
}

/** Where the element's `object-fit` puts its picture; null before there is one. */
export function placingOf(video: HTMLVideoElement): Placing | null {
  return placing(video.getBoundingClientRect(), pictureOf(video), fitOf(video))
}

/** The pixel at CSS pixels from the element's corner; null beside the picture, or before one. */
export function pointIn(video: HTMLVideoElement, x: number, y: number): Point | null {
  return toPicture({ x, y }, video.getBoundingClientRect(), pictureOf(video), fitOf(video))
}

function fitOf(video: HTMLVideoElement): string {
  return getComputedStyle(video).objectFit || 'contain'
}
