/** A picture in the making, and what a camera does to it. */
import sharp from 'sharp';
import { clamp } from './colour.mjs';
import { Noise } from './noise.mjs';
import { pasteSprite } from './sprite.mjs';

export class Picture {
  /** @param {number} width pixels @param {number} height pixels */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    /** R, G, B by rows, 0..255. */
    this.rgb = new Float32Array(width * height * 3);
  }

  /** Paints by a shader where covers(pixel index) says so, or everywhere. */
  fill(shader, covers) {
    const { width, height, rgb } = this;
    const colour = [0, 0, 0];
    for (let y = 0, index = 0; y < height; y++) {
      for (let x = 0; x < width; x++, index++) {
        if (covers !== undefined && !covers(index)) continue;
        shader(x, y, colour);
        rgb[3 * index] = colour[0];
        rgb[3 * index + 1] = colour[1];
        rgb[3 * index + 2] = colour[2];
      }
    }
  }

  /** Lays a sprite over the picture. */
  paste(sprite, pose) {
    const { rgb } = this;
    pasteSprite(sprite, pose, this.width, this.height, (index, r, g, b, alpha) => {
      const rest = 1 - alpha / 255;
      const at = 3 * index;
      rgb[at] = rgb[at] * rest + r;
      rgb[at + 1] = rgb[at + 1] * rest + g;
      rgb[at + 2] = rgb[at + 2] * rest + b;
    });
  }

  /** A sprite's shadow: darker by `strength` 0..1 where the sprite, moved, would be. */
  shadow(sprite, pose, strength) {
    const { rgb } = this;
    pasteSprite(sprite, pose, this.width, this.height, (index, _r, _g, _b, alpha) => {
      const gain = 1 - (strength * alpha) / 255;
      rgb[3 * index] *= gain;
      rgb[3 * index + 1] *= gain;
      rgb[3 * index + 2] *= gain;
    });
  }

  /** Light that falls off over the picture, colour cast, contrast, vignette and sensor noise. */
  photograph(random) {
    const { width, height, rgb } = this;
    const angle = random.between(0, 2 * Math.PI);
    const slope = random.chance(0.5) ? random.between(0, 0.35) : 0;
    const dx = (slope * Math.cos(angle)) / width;
    const dy = (slope * Math.sin(angle)) / height;
    const gain = random.between(0.78, 1.16);
    const cast = [0, 1, 2].map(() => (random.chance(0.5) ? random.between(0.9, 1.1) : 1));
    const contrast = random.between(0.82, 1.18);
    const vignette = random.chance(0.3) ? random.between(0, 0.4) : 0;
    const noise = random.chance(0.5) ? random.between(0, 14) : 0;
    const clouds = new Noise(random);
    const uneven = random.chance(0.3) ? random.between(0, 0.3) : 0;
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++, at += 3) {
        const px = x - width / 2;
        const py = y - height / 2;
        const radius = (px * px) / (width * width) + (py * py) / (height * height);
        let light = gain * (1 + px * dx + py * dy) * (1 - vignette * radius);
        if (uneven > 0) light *= 1 + uneven * (clouds.at((4 * x) / width, (4 * y) / height) - 0.5);
        for (let c = 0; c < 3; c++) {
          let value = (rgb[at + c] - 128) * contrast + 128;
          value *= light * cast[c];
          if (noise > 0) value += noise * (random.next() + random.next() - 1);
          rgb[at + c] = value;
        }
      }
    }
  }

  /** As a JPEG file, perhaps out of focus, of a random quality from 50 to 95. */
  async toJpeg(random) {
    const { width, height, rgb } = this;
    const bytes = Buffer.allocUnsafe(rgb.length);
    for (let i = 0; i < rgb.length; i++) bytes[i] = clamp(rgb[i]);
    let image = sharp(bytes, { raw: { width, height, channels: 3 } });
    if (random.chance(0.15)) image = image.blur(random.between(0.4, 1.2));
    return image
      .jpeg({
        quality: random.integer(50, 95),
        chromaSubsampling: random.chance(0.5) ? '4:2:0' : '4:4:4',
      })
      .toBuffer();
  }
}
