/** A contact sheet: the first pictures of a data set on one page, for people. */
import sharp from 'sharp';

/** @param {Buffer[]} jpegs @returns {Promise<Buffer>} PNG */
export async function contactSheet(jpegs, { columns = 4, tile = 320 } = {}) {
  const rows = Math.ceil(jpegs.length / columns);
  const tiles = await Promise.all(
    jpegs.map(async (jpeg, i) => ({
      input: await sharp(jpeg)
        .resize(tile, tile, { fit: 'contain', background: '#ddd' })
        .toBuffer(),
      left: (i % columns) * tile,
      top: Math.floor(i / columns) * tile,
    })),
  );
  const sheet = { width: columns * tile, height: rows * tile, channels: 3, background: '#ddd' };
  return sharp({ create: sheet }).composite(tiles).png().toBuffer();
}
