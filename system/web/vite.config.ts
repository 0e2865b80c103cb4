import { createHash } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'

/** What the built page is made of; a folder ends with a slash. */
const SOURCES = ['index.html', 'package-lock.json', 'package.json', 'src/', 'vite.config.ts']

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

/**
 * Writes dist/source.sha256, in the format of sha256sum: a Python test, which has no Node,
 * says by it when the committed build is older than its source.
 */
function sourceHash(): Plugin {
  return {
    name: 'source-hash',
    generateBundle() {
      const root = import.meta.dirname
      const files = SOURCES.flatMap((source) =>
        source.endsWith('/') ? filesBelow(join(root, source)) : [join(root, source)],
      )
        .map((file) => relative(root, file).replaceAll('\\', '/'))
        .sort()
      const lines = files.map((file) => {
        const digest = createHash('sha256').update(readFileSync(join(root, file))).digest('hex')
        return `${digest}  ${file}\n`
      })
      this.emitFile({ type: 'asset', fileName: 'source.sha256', source: lines.join('') })
    },
  }
}

// The built page is committed: fixed names, no hashes in them, no maps.
export default defineConfig({
  base: './',
  plugins: [sourceHash()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: false,
    rollupOptions: {
      output: {
        entryFileNames: 'app.js',
        chunkFileNames: '[name].js',
        assetFileNames: '[name][extname]',
      },
    },
  },
  test: { include: ['test/**/*.test.{ts,tsx}'] },
})
