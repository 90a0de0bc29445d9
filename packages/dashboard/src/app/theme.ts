import { createTheme } from '@mantine/core'

/** Sizes and colours are in app.css: the provider makes no variables of its own. */
export const theme = createTheme({ cursorType: 'pointer', respectReducedMotion: true })
