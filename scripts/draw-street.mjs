/**
 * Draws the photograph-like picture that the demo and the tests segment: a street with a car, a
 * person, a dog, trees, houses, grass and sky. Nothing in it is copied from anywhere.
 *
 *   node scripts/draw-street.mjs [OUT.jpg]      default test/fixtures/images/street.jpg
 */
import sharp from 'sharp';
import { car, dog, person } from './draw-street/figures.mjs';
import { createRandom } from './draw-street/random.mjs';
import { bench, filters, ground, houses, lamp, sky, tree } from './draw-street/surroundings.mjs';

const width = 960;
const height = 640;
const random = createRandom(7);

const scene = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
<defs>${filters}</defs>
${sky(width)}
${houses(random)}
${tree(random, { x: 418, y: 352, size: 70 })}
${tree(random, { x: 536, y: 356, size: 84 })}
${ground(random, width, height)}
${tree(random, { x: 842, y: 408, size: 168 })}
${lamp({ x: 300, y: 420 })}
${bench({ x: 690, y: 408 })}
${car({ x: 96, y: 418 })}
${person({ x: 556, y: 366 })}
${dog({ x: 716, y: 486 })}
</svg>`;

const grain = await sharp({
  create: {
    width,
    height,
    channels: 3,
    background: '#808080',
    noise: { type: 'gaussian', mean: 128, sigma: 9 },
  },
})
  .blur(0.6)
  .png()
  .toBuffer();
const vignette = Buffer.from(
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
  <radialGradient id="v" cx="50%" cy="46%" r="75%"><stop offset="0.55" stop-color="#fff"/>
  <stop offset="1" stop-color="#a9a4a0"/></radialGradient>
  <rect width="100%" height="100%" fill="url(#v)"/></svg>`,
);
const drawn = await sharp(Buffer.from(scene)).removeAlpha().blur(0.7).png().toBuffer();
const lit = await sharp(drawn)
  .composite([
    { input: grain, blend: 'overlay' },
    { input: vignette, blend: 'multiply' },
  ])
  .png()
  .toBuffer();
await sharp(lit)
  .recomb([
    [1.02, 0.02, -0.01],
    [0.01, 1.0, 0.0],
    [0.0, 0.02, 0.95],
  ])
  .jpeg({ quality: 84, chromaSubsampling: '4:2:0', mozjpeg: true })
  .toFile(process.argv[2] ?? 'test/fixtures/images/street.jpg');
