/** A run of training on a terminal: curves, speed, memory, time left; redrawn in place. */
import type { StepEvent, TrainingEvent } from '../index.js';
import { formatBytes } from './terminal.js';

const ROWS = 8;
const REDRAW_MS = 250;
/** Losses that are kept for the curve; beyond, neighbours are averaged. */
const MOST_LOSSES = 4_000;
/** Dots of a braille cell by column and row from the top. */
const DOTS = [
  [0x01, 0x02, 0x04, 0x40],
  [0x08, 0x10, 0x20, 0x80],
] as const;

/** Draws values over time with 2 × 4 dots in each character, newest at the right. */
export function brailleCurve(values: readonly number[], width: number, rows: number): string[] {
  const columns = width * 2;
  const levels = rows * 4;
  const size = Math.max(1, values.length / columns);
  const bins = Array.from({ length: Math.min(columns, values.length) }, (_, i) => {
    const part = values.slice(Math.floor(i * size), Math.max(Math.floor((i + 1) * size), 1));
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
  const finite = bins.filter(Number.isFinite);
  const low = Math.min(...finite);
  const span = Math.max(...finite) - low || 1;
  const cells = Array.from({ length: rows }, () => new Uint8Array(width));
  let last: number | undefined;
  for (const [x, value] of bins.entries()) {
    if (!Number.isFinite(value)) continue;
    const level = Math.round(((value - low) / span) * (levels - 1));
    // A steep curve is filled from the level before, so that it stays one line.
    const from = Math.min(level, last === undefined ? level : last + Math.sign(level - last));
    const to = Math.max(level, last === undefined ? level : last + Math.sign(level - last));
    for (let at = from; at <= to; at++) {
      const fromTop = levels - 1 - at;
      const row = cells[Math.floor(fromTop / 4)] as Uint8Array;
      const column = x >> 1;
      row[column] =
        (row[column] as number) | DOTS[(x & 1) as 0 | 1][(fromTop % 4) as 0 | 1 | 2 | 3];
    }
    last = level;
  }
  return cells.map((row) => String.fromCodePoint(...Array.from(row, (bits) => 0x2800 + bits)));
}

/** `3725` seconds → `1 h 02 min`. */
export function formatDuration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

export class Dashboard {
  readonly #stream: NodeJS.WriteStream;
  readonly #title: string;
  #steps = 0;
  #lines = 0;
  #drawn = 0;
  #losses: number[] = [];
  /** Steps in each of the losses that are kept. */
  #stride = 1;
  #gathered: number[] = [];
  #notes: string[] = [];

  constructor(title: string, stream: NodeJS.WriteStream = process.stderr) {
    this.#title = title;
    this.#stream = stream;
  }

  add(event: TrainingEvent): void {
    if (event.type === 'start') {
      this.#steps = event.steps;
      const parameters = (event.trainedParameters / 1e6).toFixed(2);
      this.#note(`${parameters} M parameters, ${event.device}, ${event.precision}`);
    } else if (event.type === 'step') {
      this.#keepLoss(event.total);
      if (Date.now() - this.#drawn >= REDRAW_MS || event.step === this.#steps) this.#draw(event);
    } else if (event.type === 'evaluation') {
      const scores = Object.entries(event.metrics).map(([name, v]) => `${name} ${v.toFixed(4)}`);
      this.#note(`step ${event.step}: ${scores.join('  ')}${event.best ? '  (best)' : ''}`);
    } else if (event.type === 'checkpoint') {
      this.#note(`step ${event.step}: checkpoint`);
    }
  }

  #keepLoss(loss: number): void {
    this.#gathered.push(loss);
    if (this.#gathered.length < this.#stride) return;
    this.#losses.push(this.#gathered.reduce((sum, one) => sum + one, 0) / this.#stride);
    this.#gathered = [];
    if (this.#losses.length < MOST_LOSSES) return;
    this.#losses = Array.from(
      { length: MOST_LOSSES / 2 },
      (_, i) => ((this.#losses[2 * i] as number) + (this.#losses[2 * i + 1] as number)) / 2,
    );
    this.#stride *= 2;
  }

  #note(text: string): void {
    this.#notes = [...this.#notes, text].slice(-3);
  }

  #draw(event: StepEvent): void {
    this.#drawn = Date.now();
    const width = Math.min(100, Math.max(30, (this.#stream.columns || 80) - 1));
    const curve = brailleCurve(this.#losses, width - 12, ROWS);
    const high = Math.max(...this.#losses).toPrecision(4);
    const low = Math.min(...this.#losses).toPrecision(4);
    const labels = curve.map((_, row) => (row === 0 ? high : row === ROWS - 1 ? low : ''));
    const done = event.step / this.#steps;
    const filled = Math.round(done * (width - 8));
    const bar = '█'.repeat(filled) + '░'.repeat(Math.max(0, width - 8 - filled));
    const losses = Object.entries(event.losses).map(
      ([name, value]) => `${name} ${value.toFixed(4)}`,
    );
    const lines = [
      this.#title,
      ...curve.map((row, i) => `${(labels[i] as string).padStart(10)} ${row}`),
      `${bar} ${Math.floor(100 * done)} %`,
      `step ${event.step} of ${this.#steps}, ${formatDuration(event.remainingSeconds)} left`,
      `loss ${event.total.toFixed(4)}: ${losses.join('  ')}`,
      `rate ${event.learningRate.toExponential(2)}  gradient norm ${event.gradNorm.toFixed(3)}  ` +
        `${event.samplesPerSecond.toFixed(1)} images/s  waiting ${(100 * event.waiting).toFixed(0)} %  ` +
        `memory ${formatBytes(event.memoryBytes)}`,
      ...this.#notes,
    ];
    const up = this.#lines === 0 ? '' : `\x1b[${this.#lines}A`;
    const body = lines.map((line) => `\x1b[2K${line.slice(0, width)}`).join('\n');
    this.#stream.write(`${up}\r${body}\n\x1b[J`);
    this.#lines = lines.length;
  }
}
