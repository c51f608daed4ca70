/** The story of a run as one HTML page: curves, speed, scores. */
import { htmlPage, htmlTable } from '../results/html-page.js';
import { type Curve, linePlot } from '../results/line-plot.js';
import type { StepEvent, TrainingEvent } from './event.js';

/**
 * The page of a run.
 *
 * @param title what the run is called
 * @param events those of the run, as `Trainer.run` told them or its `events.jsonl` holds them
 */
export function trainingReportHtml(title: string, events: readonly TrainingEvent[]): string {
  const steps = events.filter((event): event is StepEvent => event.type === 'step');
  const curve = (name: string, value: (event: StepEvent) => number): Curve => ({
    name,
    points: steps.map((event) => [event.step, value(event)] as const),
  });
  const losses = Object.keys(steps[0]?.losses ?? {});
  const plots = [
    linePlot('loss', [curve('total', ({ total }) => total)]),
    linePlot(
      'losses',
      losses.map((name) => curve(name, (event) => event.losses[name] ?? Number.NaN)),
    ),
    linePlot('learning rate', [curve('learning rate', ({ learningRate }) => learningRate)]),
    linePlot('gradient norm', [curve('gradient norm', ({ gradNorm }) => gradNorm)]),
    linePlot('images per second', [curve('images', ({ samplesPerSecond }) => samplesPerSecond)]),
    linePlot('resident memory, MB', [curve('memory', ({ memoryBytes }) => memoryBytes / 1e6)]),
  ];
  return htmlPage(title, [facts(events, steps), ...plots, evaluations(events)]);
}

function facts(events: readonly TrainingEvent[], steps: readonly StepEvent[]): string {
  const start = events.find((event) => event.type === 'start');
  const end = events.findLast((event) => event.type === 'end');
  const last = steps.at(-1);
  const rows: string[][] = [];
  if (start?.type === 'start') {
    rows.push(
      ['images per step', String(start.batchSize * start.worldSize)],
      ['processes', String(start.worldSize)],
      ['device', `${start.device}, ${start.precision}`],
      ['trained parameters', start.trainedParameters.toLocaleString('en')],
      ['starts', String(events.filter(({ type }) => type === 'start').length)],
    );
  }
  if (last !== undefined) rows.push(['last step', `${last.step}, loss ${last.total.toFixed(4)}`]);
  if (end?.type === 'end') {
    rows.push(['ended', `${end.reason}, after ${(end.seconds / 60).toFixed(1)} minutes of steps`]);
  }
  return htmlTable(['', ''], rows);
}

function evaluations(events: readonly TrainingEvent[]): string {
  const found = events.filter((event) => event.type === 'evaluation');
  if (found.length === 0) return '';
  const names = [...new Set(found.flatMap(({ metrics }) => Object.keys(metrics)))];
  const rows = found.map(({ step, metrics, best }) => [
    `${step}${best ? ' (best)' : ''}`,
    ...names.map((name) => metrics[name]?.toFixed(4) ?? '–'),
  ]);
  const curves = names.map((name) => ({
    name,
    points: found.map(({ step, metrics }) => [step, metrics[name] ?? Number.NaN] as const),
  }));
  return `<h2>Evaluations</h2>${linePlot('scores', curves)}${htmlTable(['step', ...names], rows)}`;
}
