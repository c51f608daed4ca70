/**
 * Opens a trainable bundle and writes it again, for inference and for more training.
 *
 *   node export-trained.mjs BUNDLE INFERENCE.pt TRAINABLE.pt
 */
import { Trainer } from '../../dist/index.js';

const [bundle, inference, trainable] = process.argv.slice(2);
const trainer = await Trainer.open(bundle, { vocabulary: ['cat|kitten', 'dog'], threads: 1 });
await trainer.exportBundle(inference);
await trainer.exportBundle(trainable, { trainable: true });
await trainer.dispose();
