import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addressKind, allowedKinds, checkedLookup } from './address.ts'

const known: Record<string, string> = {
  '8.8.8.8': 'global',
  '172.32.0.1': 'global',
  '2606:4700::1111': 'global',
  '127.0.0.1': 'loopback',
  '127.9.9.9': 'loopback',
  '::1': 'loopback',
  '10.1.2.3': 'private',
  '172.31.255.255': 'private',
  '192.168.0.1': 'private',
  '100.64.0.1': 'private',
  'fd12:3456::1': 'private',
  '0.0.0.0': 'refused',
  '169.254.169.254': 'refused',
  '168.63.129.16': 'refused',
  '100.100.100.200': 'refused',
  'fd00:ec2::254': 'refused',
  'fe80::1': 'refused',
  'fe80::1%eth0': 'refused',
  'fec0::1': 'refused',
  'ff02::1': 'refused',
  '224.0.0.1': 'refused',
  '255.255.255.255': 'refused',
  '::': 'refused',
  '::127.0.0.1': 'refused',
  '2002:a9fe:a9fe::1': 'refused',
  '2001:0:a9fe:a9fe::1': 'refused',
  '::ffff:169.254.169.254': 'refused',
  '::ffff:127.0.0.1': 'loopback',
  '::ffff:0.0.0.1': 'refused',
  '::FFFF:0a00:0001': 'private',
  '64:ff9b::169.254.169.254': 'refused',
  '64:ff9b::8.8.8.8': 'global',
  '64:ff9b::10.0.0.1': 'private',
  '64:ff9b:1::8.8.8.8': 'refused',
  'not an address': 'refused',
}

test('addresses are told apart, however they are written', () => {
  expect(Object.fromEntries(Object.keys(known).map((address) => [address, addressKind(address)]))).toEqual(known)
})

test('an IPv4 address is judged alike when it is mapped or translated', () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      expect(addressKind(`::ffff:${address}`)).toBe(addressKind(address))
      expect(addressKind(`64:ff9b::${address}`)).toBe(addressKind(address))
    }),
  )
})

test('what a host of the configuration may lead to', () => {
  const all = ['global', 'private', 'loopback']
  expect(allowedKinds('10.0.0.1', false)).toEqual(all)
  expect(allowedKinds('[::1]', false)).toEqual(all)
  expect(allowedKinds('localhost', true)).toEqual(['loopback'])
  expect(allowedKinds('vllm', false)).toEqual(all)
  expect(allowedKinds('vllm.models.svc.cluster.local', false)).toEqual(all)
  expect(allowedKinds('api.openai.com', false)).toEqual(['global'])
  expect(allowedKinds('models.example.com', true)).toEqual(all)
})

test('a name that changes its mind is checked each time, and only good addresses are dialled', async () => {
  const answers = [['93.184.216.34'], ['169.254.169.254'], ['127.0.0.1', '1.1.1.1']]
  const refused: string[] = []
  const lookup = checkedLookup({
    kinds: ['global'],
    resolve: (_name, _options, done) => {
      done(
        null,
        (answers.shift() ?? []).map((address) => ({ address, family: 4 })),
      )
    },
    onRefused: (message) => refused.push(message),
  })
  const ask = () =>
    new Promise((resolve) => lookup('rebinds.example', { all: true }, (error, found) => resolve(error ?? found)))
  expect(await ask()).toEqual([{ address: '93.184.216.34', family: 4 }])
  expect(await ask()).toMatchObject({ code: 'PLUMBLINE_ADDRESS_REFUSED' })
  expect(await ask()).toEqual([{ address: '1.1.1.1', family: 4 }])
  expect(await ask()).toMatchObject({ code: 'PLUMBLINE_ADDRESS_REFUSED' })
  expect(refused[0]).toBe('rebinds.example leads to 169.254.169.254')
})
