/**
 * The demo: from a fresh checkout to a segmented picture in out/demo.
 *
 *   npm run demo
 *   npm run demo -- --image photo.jpg --bundle model.pt --classes "cat|kitten, sofa"
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { setup } from './setup.mjs';
import { main, must, root, say } from './steps.mjs';

const CLASSES =
  'rhinoceros|rhino, fountain, mushroom|toadstool, luggage|suitcase, pencil, eagle, target, ' +
  'night sky, curtain, cat, car, sand';

await main(async () => {
  const { values } = parseArgs({
    options: {
      image: { type: 'string', default: join(root, 'examples/scene.jpg') },
      bundle: { type: 'string', default: 'demo-fc-clip' },
      classes: { type: 'string', default: CLASSES },
      out: { type: 'string', default: join(root, 'out/demo') },
    },
  });
  const libtorch = await setup();
  say(`segmenting ${values.image} by these words: ${values.classes}`);
  await must(
    process.execPath,
    [
      join(root, 'dist/cli/main.js'),
      'segment',
      values.image,
      '--bundle',
      values.bundle,
      '--classes',
      values.classes,
      '--out',
      values.out,
      '--overlay',
    ],
    { env: { LEXISEG_LIBTORCH: libtorch } },
  );
});
