/** How an image lies in the network input. */
import type { Geometry } from './native.js';
import type { Size } from './options.js';

export interface Frame {
  /** Padded size at which the network ran, pixels. */
  readonly networkSize: Size;
  /** The resized image inside the network input, top-left, pixels. */
  readonly validSize: Size;
}

/** What a grid of places fills of the network input, pixels; it may begin inside, or reach beyond. */
export interface GridArea {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

/** How a grid of places and the image lie in the network input. */
export interface GridFrame extends Pick<Frame, 'validSize'> {
  readonly area: GridArea;
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
