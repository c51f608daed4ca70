/** How things and the camera move from frame to frame. */

/** Frames per second that speeds are meant for. */
const RATE = 12;

/**
 * A path through a video: the pose at frame `t` of a pose at frame 0.
 *
 * @param {import('./random.mjs').Random} random
 * @param {{ width: number, height: number, length: number }} shot pixels and frames
 * @returns {(pose: import('./sprite.mjs').Pose, t: number) => import('./sprite.mjs').Pose}
 */
export function randomMotion(random, { width, height, length }) {
  const still = random.chance(0.2);
  const heading = random.between(0, 2 * Math.PI);
  const way = still ? 0 : random.between(0.1, 0.9) * Math.min(width, height) * (length / RATE / 2);
  const sway = random.chance(0.4) ? random.between(0.01, 0.05) * height : 0;
  const period = random.between(0.5, 2) * RATE;
  const phase = random.between(0, 2 * Math.PI);
  const turn = random.chance(0.4) ? random.between(-0.8, 0.8) : 0;
  const growth = random.chance(0.5) ? random.logarithmic(0.6, 1.6) : 1;
  const rock = (t) => Math.sin((2 * Math.PI * t) / period + phase);
  return (pose, t) => {
    const share = t / Math.max(1, length - 1);
    return {
      ...pose,
      x: pose.x + way * Math.cos(heading) * share,
      y: pose.y + way * Math.sin(heading) * share + sway * (rock(t) - rock(0)),
      angle: pose.angle + turn * share,
      size: pose.size * growth ** share,
    };
  };
}

/**
 * Where the camera looks at frame `t`: whole pixels from 0 to `room` in either direction.
 *
 * @returns {(t: number) => { x: number, y: number }}
 */
export function randomPan(random, room, length) {
  const from = { x: random.between(0, room), y: random.between(0, room) };
  const to = random.chance(0.5) ? { x: random.between(0, room), y: random.between(0, room) } : from;
  return (t) => {
    const share = t / Math.max(1, length - 1);
    return {
      x: Math.round(from.x + (to.x - from.x) * share),
      y: Math.round(from.y + (to.y - from.y) * share),
    };
  };
}
