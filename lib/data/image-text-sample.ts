/** An image with its captions, as every kind of image–text data gives it. */

export interface ImageText {
  /** What errors call it: a file and where in it. */
  readonly name: string;
  /** A path, or the bytes of an encoded image. */
  readonly image: string | Uint8Array;
  /** One or more; training takes one at random. */
  readonly captions: readonly string[];
}

export const IMAGE_EXTENSIONS: readonly string[] = [
  'jpg',
  'jpeg',
  'png',
  'webp',
  'avif',
  'tif',
  'tiff',
  'gif',
];
