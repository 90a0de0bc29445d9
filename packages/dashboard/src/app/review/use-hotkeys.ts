import { useEffect, useRef } from 'react'

/** What a key does; `Ctrl+Enter` also where text is typed, the others only outside of fields. */
export type Hotkeys = Readonly<Record<string, () => void>>

export function useHotkeys(hotkeys: Hotkeys): void {
  const current = useRef(hotkeys)
  current.current = hotkeys
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.altKey || event.metaKey || event.repeat || event.isComposing) return
      const name = event.ctrlKey ? `Ctrl+${event.key}` : event.key
      const field = fieldOf(event.target)
      if (field !== undefined && event.key === 'Escape') {
        field.blur()
        return
      }
      const isOwn = field !== undefined || (event.key === 'Enter' && isPressable(event.target))
      if (isOwn && !event.ctrlKey) return
      const act = current.current[name]
      if (act === undefined) return
      event.preventDefault()
      act()
    }
    document.addEventListener('keydown', press)
    return () => document.removeEventListener('keydown', press)
  }, [])
}

function fieldOf(target: EventTarget | null): HTMLElement | undefined {
  return target instanceof HTMLElement && target.matches('input:not([type=radio]), textarea, select')
    ? target
    : undefined
}

/** Where Enter has a meaning already. */
function isPressable(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches('a, button, summary')
}
