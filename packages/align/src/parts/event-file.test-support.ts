/** A strict reader of event files: every length and checksum must be right, and the file must end with a record. */
import { crc32c } from './tensorboard.ts'

type Field = readonly [field: number, value: number | Uint8Array]

export interface ReadEvent {
  wallTime: number
  step: number
  fileVersion?: string
  scalars: [string, number][]
  texts: { tag: string; plugin: string; shape: number[]; cells: string[] }[]
}

export function readEvents(file: Uint8Array): ReadEvent[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const events: ReadEvent[] = []
  for (let at = 0; at < file.length; ) {
    const length = Number(view.getBigUint64(at, true))
    checkCrc(file.subarray(at, at + 8), view.getUint32(at + 8, true))
    const data = file.subarray(at + 12, at + 12 + length)
    if (data.length !== length) throw new Error('The file ends inside a record.')
    checkCrc(data, view.getUint32(at + 12 + length, true))
    events.push(readEvent(data))
    at += length + 16
  }
  return events
}

function checkCrc(bytes: Uint8Array, masked: number): void {
  const rotated = (masked - 0xa282ead8) >>> 0
  const crc = ((rotated >>> 17) | (rotated << 15)) >>> 0
  if (crc !== crc32c(bytes)) throw new Error('A checksum is wrong.')
}

function readEvent(data: Uint8Array): ReadEvent {
  const event: ReadEvent = { wallTime: 0, step: 0, scalars: [], texts: [] }
  for (const [field, value] of fieldsOf(data)) {
    if (field === 1) event.wallTime = doubleOf(value)
    else if (field === 2) event.step = value as number
    else if (field === 3) event.fileVersion = textOf(value)
    else if (field === 5) for (const [, item] of fieldsOf(value as Uint8Array)) readValue(event, item as Uint8Array)
    else throw new Error(`An event has no field ${field} here.`)
  }
  return event
}

function readValue(event: ReadEvent, data: Uint8Array): void {
  const value = new Map(fieldsOf(data))
  const tag = textOf(value.get(1))
  const number = value.get(2)
  if (number !== undefined) event.scalars.push([tag, floatOf(number)])
  const tensor = value.get(8)
  if (tensor === undefined) return
  const pluginData = new Map(fieldsOf(value.get(9) as Uint8Array)).get(1) as Uint8Array
  const fields = fieldsOf(tensor as Uint8Array)
  const shape = fieldsOf(fields.find(([field]) => field === 2)![1] as Uint8Array)
  event.texts.push({
    tag,
    plugin: textOf(new Map(fieldsOf(pluginData)).get(1)),
    shape: shape.map(([, dim]) => new Map(fieldsOf(dim as Uint8Array)).get(1) as number),
    cells: fields.filter(([field]) => field === 8).map(([, cell]) => textOf(cell)),
  })
}

function fieldsOf(data: Uint8Array): Field[] {
  const fields: Field[] = []
  let at = 0
  const varint = () => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = data[at++]
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }
  const take = (length: number) => {
    at += length
    if (at > data.length) throw new Error('A field ends outside its message.')
    return Uint8Array.from(data.subarray(at - length, at))
  }
  while (at < data.length) {
    const key = varint()
    const wireType = key & 7
    const value = wireType === 0 ? varint() : take(wireType === 1 ? 8 : wireType === 5 ? 4 : varint())
    fields.push([key >>> 3, value])
  }
  return fields
}

const textOf = (value: number | Uint8Array | undefined) => new TextDecoder().decode(value as Uint8Array)
const doubleOf = (value: number | Uint8Array) => new DataView((value as Uint8Array).buffer).getFloat64(0, true)
const floatOf = (value: number | Uint8Array) => new DataView((value as Uint8Array).buffer).getFloat32(0, true)
