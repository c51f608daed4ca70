/** Training events as TensorBoard reads them: TFRecords of `tensorflow.Event` messages. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { LexisegError } from '../errors.js';
import { makeFolder } from '../make-folder.js';
import type { TrainingEvent } from './event.js';

/** CRC-32C (Castagnoli), a table entry for each byte. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});

function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] as number);
  return (crc ^ 0xffffffff) >>> 0;
}

/** As TFRecord stores it: rotated and shifted, so that a CRC of a CRC is no fixed point. */
function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** Fields of the protocol-buffer messages that are written, `number << 3 | wire type`. */
const FIELD = {
  wallTime: 0x09,
  step: 0x10,
  fileVersion: 0x1a,
  summary: 0x2a,
  value: 0x0a,
  tag: 0x0a,
  simpleValue: 0x15,
  sessionLog: 0x3a,
  status: 0x08,
} as const;
/** Of a SessionLog: readers forget what older files say of this step and later ones. */
const START = 1;

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}

const lengthFirst = (field: number, bytes: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([field, ...varint(bytes.length)]), bytes]);

function scalarValue(tag: string, value: number): Buffer {
  const number = Buffer.alloc(5);
  number[0] = FIELD.simpleValue;
  number.writeFloatLE(value, 1);
  return lengthFirst(
    FIELD.value,
    Buffer.concat([lengthFirst(FIELD.tag, Buffer.from(tag)), number]),
  );
}

function eventHead(step: number): Buffer {
  const time = Buffer.alloc(9);
  time[0] = FIELD.wallTime;
  time.writeDoubleLE(Date.now() / 1000, 1);
  return Buffer.concat([time, Buffer.from([FIELD.step, ...varint(step)])]);
}

/** Writes one file of events; each event is there as soon as `add` returns. */
export class TensorBoardLog {
  readonly path: string;
  readonly #file: number;

  /**
   * Opens a new file in a folder; a run that goes on adds a further file, as TensorBoard expects.
   *
   * @throws LexisegError `ERR_OUTPUT` when it cannot be made.
   */
  constructor(folder: string) {
    const seconds = String(Math.floor(Date.now() / 1000)).padStart(10, '0');
    this.path = join(folder, `events.out.tfevents.${seconds}.${hostname()}.${process.pid}`);
    try {
      makeFolder(folder);
      this.#file = openSync(this.path, 'a');
    } catch (cause) {
      const { message } = cause as Error;
      throw new LexisegError('ERR_OUTPUT', `Cannot write ${this.path}: ${message}`, { cause });
    }
    const version = lengthFirst(FIELD.fileVersion, Buffer.from('brain.Event:2'));
    this.#record(Buffer.concat([eventHead(0), version]));
  }

  /** Adds the figures of a step or of an evaluation, and where a run goes on; others have none. */
  add(event: TrainingEvent): void {
    if (event.type === 'start' && event.step > 0) {
      const session = lengthFirst(FIELD.sessionLog, Buffer.from([FIELD.status, START]));
      this.#record(Buffer.concat([eventHead(event.step + 1), session]));
    } else if (event.type === 'step') {
      const losses = Object.entries(event.losses).map(([name, value]) => [`loss/${name}`, value]);
      this.scalars(event.step, {
        ...Object.fromEntries(losses),
        'loss/total': event.total,
        'optimizer/learning_rate': event.learningRate,
        'optimizer/gradient_norm': event.gradNorm,
        'speed/images_per_second': event.samplesPerSecond,
        'speed/waiting_for_data': event.waiting,
        'memory/resident_bytes': event.memoryBytes,
      });
    } else if (event.type === 'evaluation') {
      const named = Object.entries(event.metrics).map(([name, value]) => [`score/${name}`, value]);
      this.scalars(event.step, Object.fromEntries(named));
    }
  }

  /** Adds figures by name. */
  scalars(step: number, values: Readonly<Record<string, number>>): void {
    const parts = Object.entries(values).map(([tag, value]) => scalarValue(tag, value));
    const summary = lengthFirst(FIELD.summary, Buffer.concat(parts));
    this.#record(Buffer.concat([eventHead(step), summary]));
  }

  close(): void {
    closeSync(this.#file);
  }

  #record(data: Buffer): void {
    const head = Buffer.alloc(12);
    head.writeBigUInt64LE(BigInt(data.length));
    head.writeUInt32LE(maskedCrc(head.subarray(0, 8)), 8);
    const tail = Buffer.alloc(4);
    tail.writeUInt32LE(maskedCrc(data));
    writeSync(this.#file, Buffer.concat([head, data, tail]));
  }
}
