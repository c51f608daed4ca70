/** Erosion by looking at every neighbour. */

/** Erodes by 3×3, `times` times, zeros beyond the image. */
export function erode(mask: Uint8Array, width: number, height: number, times: number): Uint8Array {
  let now = mask;
  for (let i = 0; i < times; i++) {
    const before = now;
    now = before.map((_, at) => {
      const [x, y] = [at % width, Math.floor(at / width)];
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) {
          const [u, v] = [x + dx, y + dy];
          const inside = u >= 0 && v >= 0 && u < width && v < height;
          if (!inside || before[v * width + u] === 0) return 0;
        }
      }
      return 1;
    });
  }
  return now;
}
