/** How an image lies in the network input. */
import type { Geometry } from './native.js';
import type { Size } from './options.js';

export interface Frame {
  /** Padded size at which the network ran, pixels. */
  readonly networkSize: Size;
  /** The resized image inside the network input, top-left, pixels. */
  readonly validSize: Size;
}

/** The geometry of a result of size `output`. */
export function geometryTo({ networkSize, validSize }: Frame, output: Size): Geometry {
  return [
    networkSize.height,
    networkSize.width,
    validSize.height,
    validSize.width,
    output.height,
    output.width,
  ];
}
