/** Colours as numbers 0..255 and as hue, saturation and lightness 0..1. */

export const clamp = (value) => (value < 0 ? 0 : value > 255 ? 255 : value);

/** `#abc`, `#aabbcc` or `#aabbccdd` to [r, g, b, alpha text]. */
export function parseHex(text) {
  let digits = text.slice(1);
  if (digits.length <= 4) digits = [...digits].map((digit) => digit + digit).join('');
  const channel = (at) => Number.parseInt(digits.slice(at, at + 2), 16);
  return [channel(0), channel(2), channel(4), digits.slice(6)];
}

export function toHex([r, g, b], alpha = '') {
  const part = (value) => Math.round(clamp(value)).toString(16).padStart(2, '0');
  return `#${part(r)}${part(g)}${part(b)}${alpha}`;
}

export function toHsl([r, g, b]) {
  const most = Math.max(r, g, b) / 255;
  const least = Math.min(r, g, b) / 255;
  const range = most - least;
  const lightness = (most + least) / 2;
  if (range < 1e-6) return [0, 0, lightness];
  const saturation = range / (1 - Math.abs(2 * lightness - 1));
  const sector =
    most === r / 255
      ? ((g - b) / 255 / range + 6) % 6
      : most === g / 255
        ? (b - r) / 255 / range + 2
        : (r - g) / 255 / range + 4;
  return [sector / 6, Math.min(1, saturation), lightness];
}

export function fromHsl([hue, saturation, lightness]) {
  const chroma = (1 - Math.abs(2 * lightness - 1)) * saturation;
  const channel = (n) => {
    const k = (n + (hue - Math.floor(hue)) * 12) % 12;
    return 255 * (lightness - (chroma / 2) * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  };
  return [channel(0), channel(8), channel(4)];
}

/** A random colour: saturation and lightness in ranges. */
export function randomColour(random, saturation = [0.2, 0.9], lightness = [0.2, 0.85]) {
  return fromHsl([random.next(), random.between(...saturation), random.between(...lightness)]);
}

/** The colour with a little noise in hue, saturation and lightness. */
export function vary(random, colour, amount = 0.08) {
  const [h, s, l] = toHsl(colour);
  const near = (value, spread) => Math.min(1, Math.max(0, value + random.between(-spread, spread)));
  return fromHsl([h + random.between(-amount, amount) / 2, near(s, amount * 2), near(l, amount)]);
}

/** A colour around a hue in degrees, with saturation and lightness in ranges. */
export function near(random, hue, spread, saturation, lightness) {
  const turn = (hue + random.between(-spread, spread)) / 360;
  return fromHsl([turn + 1, random.between(...saturation), random.between(...lightness)]);
}

/** Writes the colour between a (t = 0) and b (t = 1) to out; out may be a. */
export function mix(out, a, b, t) {
  const u = t < 0 ? 0 : t > 1 ? 1 : t;
  out[0] = a[0] + (b[0] - a[0]) * u;
  out[1] = a[1] + (b[1] - a[1]) * u;
  out[2] = a[2] + (b[2] - a[2]) * u;
}

/** Multiplies a colour in place. */
export function shade(colour, gain) {
  colour[0] *= gain;
  colour[1] *= gain;
  colour[2] *= gain;
}
