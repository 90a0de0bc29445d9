import { Burger, Button, NavLink, Text, useComputedColorScheme, useMantineColorScheme } from '@mantine/core'
import { useEffect, useRef, useState } from 'react'
import { useAddress } from './address.ts'
import { pages } from './pages.ts'
import { useSession } from './session.ts'

/** Menu and the page that the address names. */
export function Shell() {
  const { scope, project, signOut } = useSession()
  const address = useAddress()
  const [isOpen, setIsOpen] = useState(false)
  const allowed = pages.filter(({ scopes }) => scopes.includes(scope))
  const page = allowed.find(({ name }) => name === address.path[0]) ?? allowed[0]
  const main = useRef<HTMLElement>(null)
  const place = address.path.join('/')
  const isFirst = useRef(true)
  // biome-ignore lint/correctness/useExhaustiveDependencies: another place closes the menu and takes the focus along
  useEffect(() => {
    setIsOpen(false)
    if (!isFirst.current) main.current?.focus()
    isFirst.current = false
  }, [place])
  useEffect(() => {
    document.title = `${page.title} – Plumbline`
  }, [page])
  return (
    <div className="shell" data-menu-open={isOpen || undefined}>
      <button type="button" className="skip" onClick={() => main.current?.focus()}>
        Skip to the page
      </button>
      <header className="bar">
        <Burger
          className="narrow-only"
          size="sm"
          opened={isOpen}
          onClick={() => setIsOpen(!isOpen)}
          aria-label={isOpen ? 'Close the menu' : 'Open the menu'}
          aria-expanded={isOpen}
          aria-controls="menu"
        />
        <img src="/icon.svg" alt="" width="24" height="24" />
        <span className="brand">Plumbline</span>
        <span className="project" title="project">
          {project}
        </span>
        <SchemeButton />
        <Button variant="default" size="xs" onClick={signOut}>
          Sign out
        </Button>
      </header>
      <nav id="menu" className="menu" aria-label="Pages">
        {allowed.map(({ name, title }) => (
          <NavLink
            key={name}
            href={`#/${name}`}
            label={title}
            active={name === page.name}
            aria-current={name === page.name ? 'page' : undefined}
          />
        ))}
        <Text size="xs" c="dimmed" px="sm" pt="md">
          signed in as {scope}
        </Text>
      </nav>
      <main id="main" ref={main} tabIndex={-1} className="main">
        <page.Page key={place} rest={address.path.slice(1)} query={address.query} />
      </main>
    </div>
  )
}

function SchemeButton() {
  const { setColorScheme } = useMantineColorScheme()
  const other = useComputedColorScheme('light') === 'light' ? 'dark' : 'light'
  return (
    <Button variant="subtle" size="xs" onClick={() => setColorScheme(other)} aria-label={`Switch to ${other} colours`}>
      {other === 'dark' ? '☾' : '☀'}
    </Button>
  )
}
