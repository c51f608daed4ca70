#!/usr/bin/env node
/** `lexiseg-scenes`: draws scenes with exact masks, or crops with captions, from icon sets. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { stoppable } from '../stoppable.mjs';
import { CLASS_CHOICES } from './classes.mjs';
import { draw } from './draw.mjs';
import { DEFAULT_SETS, IconSet } from './icon-set.mjs';
import { MOST_OBJECTS } from './layout.mjs';
import { contactSheet } from './sheet.mjs';
import { writeCrops } from './write-crops.mjs';
import { writeScenes } from './write-scenes.mjs';
import { writeVideos } from './write-videos.mjs';

const EXAMPLES = `
Examples:
  npm run scenes -- scenes out/scenes --count 200 --seed 7
  npm run scenes -- scenes out/held-out --count 100 --classes all --icons @iconify-json/openmoji
  npm run scenes -- crops out/crops --count 20000 --classes all
  npm run scenes -- videos out/videos --count 10 --frames 36
  npm run scenes -- sheet out/sheet.png --seed 3`;

const whole = (text) => {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new InvalidArgumentError('expected a whole number of 0 or more');
  }
  return value;
};
const side = (text) => {
  const value = whole(text);
  if (value < 16 || value > 1024) throw new InvalidArgumentError('expected 16 to 1024');
  return value;
};
const objects = (text) => {
  const value = whole(text);
  if (value < 1 || value > MOST_OBJECTS) {
    throw new InvalidArgumentError(`expected 1 to ${MOST_OBJECTS}`);
  }
  return value;
};
const frames = (text) => {
  const value = whole(text);
  if (value < 4 || value > 10_000) throw new InvalidArgumentError('expected 4 to 10000');
  return value;
};
const share = (text) => {
  const value = Number(text);
  if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError('expected 0 to 1');
  return value;
};

function worldCommand(name, description) {
  return new Command(name)
    .description(description)
    .option('--seed <number>', 'the same seed gives the same pictures', whole, 0)
    .addOption(
      new Option('--classes <choice>', 'whose pictures').choices(CLASS_CHOICES).default('all'),
    )
    .option('--icons <set...>', 'Iconify packages, folders or JSON files', DEFAULT_SETS)
    .option('--plain <share>', 'share of icons drawn as their artist did, 0 to 1', share, 0.3)
    .option('--threads <number>', 'worker threads; default: all cores', whole);
}

const worldOf = (kind, { seed, classes, icons, plain, side, frames, fewest }) => ({
  kind,
  seed,
  icons,
  classes,
  plain,
  side,
  frames,
  fewest,
});

/** Progress on a line of its own on a terminal, else a line at every tenth. */
function progressOf(total) {
  let told = -1;
  return (done) => {
    const step = process.stderr.isTTY
      ? Math.floor((1000 * done) / total)
      : Math.floor((10 * done) / total);
    if (step === told) return;
    told = step;
    const text = `${done} of ${total}`;
    process.stderr.write(
      process.stderr.isTTY ? `\r${text}${done >= total ? '\n' : ''}` : `${text}\n`,
    );
  };
}

async function perform(kind, folder, options, write) {
  for (const place of options.icons) IconSet.load(place);
  await stoppable((signal) =>
    write(folder, worldOf(kind, options), options.count, {
      threads: options.threads || undefined,
      signal,
      progress: progressOf(options.count),
    }),
  );
}

const program = new Command('lexiseg-scenes')
  .description('Draws a small world from icons: scenes with exact masks, and crops with captions.')
  .addHelpText('after', EXAMPLES);
program.addCommand(
  worldCommand('scenes', 'scenes as a COCO panoptic data set with captions')
    .argument('<folder>')
    .option('--count <number>', 'how many', whole, 100)
    .option('--fewest <number>', `objects in a scene, up to ${MOST_OBJECTS}`, objects, 1)
    .action((folder, options) => perform('scenes', folder, options, writeScenes)),
);
program.addCommand(
  worldCommand('crops', 'crops with captions as webdataset tar shards')
    .argument('<folder>')
    .option('--count <number>', 'how many', whole, 10_000)
    .option('--side <pixels>', 'of each crop', side, 96)
    .action((folder, options) => perform('crops', folder, options, writeCrops)),
);
program.addCommand(
  worldCommand('videos', "moving scenes with exact tubes, in VIPSeg's layout")
    .argument('<folder>')
    .option('--count <number>', 'how many', whole, 20)
    .option('--frames <number>', 'of each video', frames, 24)
    .action((folder, options) => perform('videos', folder, options, writeVideos)),
);
program.addCommand(
  worldCommand('sheet', 'a picture of twelve scenes')
    .argument('<file>')
    .action(async (file, options) => {
      const jpegs = [];
      for await (const { jpeg } of draw(worldOf('scenes', options), Array(12).keys(), {
        threads: options.threads || undefined,
      })) {
        jpegs.push(Buffer.from(jpeg));
      }
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, await contactSheet(jpegs));
    }),
);

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`error: ${error.message}\n`);
  process.exitCode = 1;
}
