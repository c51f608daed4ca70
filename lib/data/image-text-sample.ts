/** An image with its captions, as every kind of image–text data gives it. */

export interface ImageText {
  /** What errors call it: a file and where in it. */
  readonly name: string;
  /** A path, or the bytes of an encoded image. */
  readonly image: string | Uint8Array;
  /** One or more; training takes one at random. */
  readonly captions: readonly string[];
}

/** What `captions` or `caption` of a record hold; undefined unless each is a text that says something. */
export function captionsOf({
  captions,
  caption,
}: {
  readonly captions?: unknown;
  readonly caption?: unknown;
}): readonly string[] | undefined {
  const found: readonly unknown[] = Array.isArray(captions) ? captions : [caption];
  const isText = (item: unknown): item is string => typeof item === 'string' && item.trim() !== '';
  return found.length > 0 && found.every(isText) ? found : undefined;
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
