import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

/** A file as a browser gets it. */
export interface Page {
  readonly type: string
  readonly body: string
}

const folder = new URL('./app/', import.meta.url)
const kit = createRequire(import.meta.url)
/** Of the kit, only what the pages use. */
const kitStyles = [
  ...['baseline', 'default-css-variables', 'global', 'UnstyledButton', 'Paper', 'Loader', 'Input', 'InlineInput'],
  ...['Alert', 'ActionIcon', 'Anchor', 'Badge', 'Button', 'Burger', 'CloseButton', 'Code', 'Flex', 'Group', 'Kbd'],
  ...[
    'NavLink',
    'PasswordInput',
    'SegmentedControl',
    'FloatingIndicator',
    'Skeleton',
    'Stack',
    'Table',
    'Text',
    'Title',
  ],
]

export const pagePaths = ['/', '/icon.svg', '/app.js', '/app.css'] as const

/**
 * Everything below `/`, by path. Bundled from the sources when it is first asked for (about half a second): nothing
 * built lies on disk, so nothing is committed and nothing goes stale.
 */
export async function loadPages(): Promise<ReadonlyMap<string, Page>> {
  const [html, icon, script, style] = await Promise.all([
    readFile(new URL('index.html', folder), 'utf8'),
    readFile(new URL('icon.svg', folder), 'utf8'),
    bundle(),
    styles(),
  ])
  return new Map<string, Page>([
    ['/', { type: 'text/html; charset=utf-8', body: html }],
    ['/icon.svg', { type: 'image/svg+xml', body: icon }],
    ['/app.js', { type: 'text/javascript; charset=utf-8', body: script }],
    ['/app.css', { type: 'text/css; charset=utf-8', body: style }],
  ])
}

async function bundle(): Promise<string> {
  // Read when the first page is asked for: a gateway that nobody looks at does without it.
  const { rolldown } = await import('rolldown')
  const build = await rolldown({
    input: fileURLToPath(new URL('main.tsx', folder)),
    platform: 'browser',
    transform: { define: { 'process.env.NODE_ENV': '"production"' } },
    logLevel: 'silent',
  })
  try {
    const { output } = await build.generate({ format: 'iife', minify: true, codeSplitting: false })
    return output[0].code
  } finally {
    await build.close()
  }
}

async function styles(): Promise<string> {
  const files = kitStyles.map((name) => kit.resolve(`@mantine/core/styles/${name}.css`))
  const texts = await Promise.all([...files, new URL('app.css', folder)].map((file) => readFile(file, 'utf8')))
  return texts.join('\n')
}
