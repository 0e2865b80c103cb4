/** Random ids. `crypto.randomUUID` would need a secure context, which a page in a LAN is not. */

/** 128 random bits, as hexadecimal digits. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
