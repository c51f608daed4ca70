/** Many images on one canvas, so that training sees things side by side and at many sizes. */
import { outOfRange } from '../errors.js';
import { checkOptions, integerIn } from '../options.js';
import { Tensor } from '../tensor.js';

/**
 * Lays the images of a batch on canvases, in bands from top to bottom, so that dense features learn
 * to tell places and sizes apart. Each image keeps a caption of its own. Default: none, one image on
 * each canvas.
 */
export interface Mosaic {
  /**
   * Images along each band, 1 to 16: a band of n is `imageSize / n` high. They are laid in this
   * order, over and over, and a band that has no room left begins the next canvas.
   */
  readonly bands: readonly number[];
}

/** Where an image of a batch lies, pixels of its canvas. */
export interface Tile {
  readonly canvas: number;
  readonly x: number;
  readonly y: number;
  readonly side: number;
}

/** The places of `count` images on as few canvases as the order of the bands allows. */
export function layTiles(mosaic: Mosaic, canvasSide: number, count: number): Tile[] {
  const bands = parseBands(mosaic, canvasSide);
  const tiles: Tile[] = [];
  let canvas = 0;
  let y = 0;
  for (let turn = 0; tiles.length < count; turn++) {
    const along = bands[turn % bands.length] as number;
    const side = Math.floor(canvasSide / along);
    if (y + side > canvasSide) {
      canvas++;
      y = 0;
    }
    for (let i = 0; i < along && tiles.length < count; i++) {
      tiles.push({ canvas, x: i * side, y, side });
    }
    y += side;
  }
  return tiles;
}

function parseBands(mosaic: Mosaic, canvasSide: number): number[] {
  checkOptions(mosaic, ['bands'], 'data.mosaic');
  const { bands } = mosaic;
  if (!Array.isArray(bands) || bands.length < 1 || bands.length > 64) {
    throw outOfRange('a list of 1 to 64 numbers', 'data.mosaic.bands', bands);
  }
  return bands.map((band, i) =>
    integerIn(band, 1, Math.min(16, canvasSide), `data.mosaic.bands[${i}]`),
  );
}

/** One image for each tile, uint8 rgb of the tile's size, on canvases [B, side, side, 3]. */
export function paintCanvases(
  tiles: readonly Tile[],
  images: readonly Uint8Array[],
  canvasSide: number,
): Tensor {
  const count = 1 + (tiles.at(-1)?.canvas ?? 0);
  const pixels = new Uint8Array(count * canvasSide * canvasSide * 3);
  for (const [index, { canvas, x, y, side }] of tiles.entries()) {
    const rgb = images[index] as Uint8Array;
    for (let row = 0; row < side; row++) {
      const to = ((canvas * canvasSide + y + row) * canvasSide + x) * 3;
      pixels.set(rgb.subarray(row * side * 3, (row + 1) * side * 3), to);
    }
  }
  return Tensor.from(pixels, [count, canvasSide, canvasSide, 3]);
}

/** int64 [N, 5]: canvas, left, top, and right and bottom, which are one past the last pixel. */
export function boxTensor(tiles: readonly Tile[]): Tensor {
  const values = tiles.flatMap(({ canvas, x, y, side }) => [canvas, x, y, x + side, y + side]);
  return Tensor.from(BigInt64Array.from(values, BigInt), [tiles.length, 5]);
}
