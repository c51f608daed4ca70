// The same with a loop of your own: batches of tensors in, losses out.
// Run: node train-loop.mjs BUNDLE; it holds its loss: `export … --trainable`.
import { Tensor, Trainer } from 'lexiseg';

const [bundle] = process.argv.slice(2);
const trainer = await Trainer.open(bundle, { vocabulary: ['square', 'background'], seed: 1 });

const [width, height] = [128, 96];
for (let step = 0; step < 3; step++) {
  const image = new Uint8Array(height * width * 3).fill(40);
  const masks = new Uint8Array(2 * height * width);
  for (let at = 0; at < width * height; at++) {
    const inside = at % width > 30 && at % width < 90 && at > 20 * width && at < 70 * width;
    if (inside) image.fill(220, 3 * at, 3 * at + 3);
    masks[inside ? at : width * height + at] = 1;
  }
  const inputs = {
    images: Tensor.from(image, [1, height, width, 3]),
    masks: Tensor.from(masks, [2, height, width]),
    labels: Tensor.from(BigInt64Array.of(0n, 1n), [2]),
    mask_counts: Tensor.from(BigInt64Array.of(2n), [1]),
  };
  const batch = { inputs, name: `drawing ${step}`, samples: 1 };
  const { losses, total, gradNorm } = await trainer.step(batch, { learningRate: 1e-4 });
  console.log(total.toFixed(3), gradNorm.toFixed(3), Object.keys(losses).join(' '));
}
await trainer.dispose();
