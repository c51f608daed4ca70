/** Sky, houses, trees, lawn and road, as SVG. Light comes from the upper left throughout. */
import { mix } from './random.mjs';

const horizon = 352;

export const filters = `
<filter id="soft" x="-20%" y="-20%" width="140%" height="140%"><feGaussianBlur stdDeviation="2"/></filter>
<filter id="shadow" x="-30%" y="-80%" width="160%" height="260%"><feGaussianBlur stdDeviation="7 3"/></filter>
<filter id="clouds" x="0" y="0" width="100%" height="100%">
  <feTurbulence type="fractalNoise" baseFrequency="0.0045 0.013" numOctaves="6" seed="11"/>
  <feColorMatrix values="0 0 0 0 1  0 0 0 0 1  0 0 0 0 1  1.9 1.2 0 0 -1.32"/>
  <feGaussianBlur stdDeviation="1.2"/></filter>
<filter id="leaves" x="-20%" y="-20%" width="140%" height="140%">
  <feTurbulence type="fractalNoise" baseFrequency="0.09" numOctaves="3" seed="4" result="n"/>
  <feDisplacementMap in="SourceGraphic" in2="n" scale="17" xChannelSelector="R" yChannelSelector="G"/></filter>
<filter id="lawn" x="0" y="0" width="100%" height="100%">
  <feTurbulence type="fractalNoise" baseFrequency="0.035 0.16" numOctaves="5" seed="3" result="n"/>
  <feColorMatrix in="n" values="0 0 0 0 0.09  0 0 0 0 0.2  0 0 0 0 0.03  0 1.9 0 0 -0.72" result="d"/>
  <feComposite in="d" in2="SourceGraphic" operator="in" result="t"/>
  <feMerge><feMergeNode in="SourceGraphic"/><feMergeNode in="t"/></feMerge></filter>
<filter id="asphalt" x="0" y="0" width="100%" height="100%">
  <feTurbulence type="fractalNoise" baseFrequency="0.5 0.9" numOctaves="3" seed="9" result="n"/>
  <feColorMatrix in="n" values="0 0 0 0 0.06  0 0 0 0 0.06  0 0 0 0 0.07  1.3 0 0 0 -0.45" result="d"/>
  <feComposite in="d" in2="SourceGraphic" operator="in" result="t"/>
  <feMerge><feMergeNode in="SourceGraphic"/><feMergeNode in="t"/></feMerge></filter>
<filter id="plaster" x="0" y="0" width="100%" height="100%">
  <feTurbulence type="fractalNoise" baseFrequency="0.05 0.3" numOctaves="4" seed="21" result="n"/>
  <feColorMatrix in="n" values="0 0 0 0 0.2  0 0 0 0 0.12  0 0 0 0 0.06  0 0.7 0 0 -0.24" result="d"/>
  <feComposite in="d" in2="SourceGraphic" operator="in" result="t"/>
  <feMerge><feMergeNode in="SourceGraphic"/><feMergeNode in="t"/></feMerge></filter>
<filter id="fur" x="-20%" y="-20%" width="140%" height="140%">
  <feTurbulence type="fractalNoise" baseFrequency="0.25 0.4" numOctaves="2" seed="5" result="n"/>
  <feDisplacementMap in="SourceGraphic" in2="n" scale="5" xChannelSelector="R" yChannelSelector="G"/></filter>`;

export function sky(width) {
  return `<linearGradient id="air" x1="0" y1="0" x2="0" y2="1">
  <stop offset="0" stop-color="#3f7cc0"/><stop offset="0.6" stop-color="#9cc3e6"/>
  <stop offset="1" stop-color="#e3edf1"/></linearGradient>
  <linearGradient id="fade" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#fff"/>
  <stop offset="0.75" stop-color="#aaa"/><stop offset="1" stop-color="#000"/></linearGradient>
  <mask id="high"><rect width="${width}" height="${horizon}" fill="url(#fade)"/></mask>
  <rect width="${width}" height="${horizon + 20}" fill="url(#air)"/>
  <g mask="url(#high)"><rect width="${width}" height="${horizon}" filter="url(#clouds)"/></g>
  <path d="M0 340 C120 300 240 322 360 308 S560 292 700 316 S900 296 960 318 V380 H0Z"
    fill="#7d97a3" filter="url(#soft)"/>
  <path d="M0 352 C160 330 300 344 460 330 S760 334 960 338 V380 H0Z" fill="#6c8a6d" filter="url(#soft)"/>`;
}

/** A row of houses on the left that runs towards the vanishing point, and one on the right. */
export function houses(random) {
  const row = [
    { near: -40, far: 150, top: 60, color: ['#c9b294', '#a58c70'] },
    { near: 150, far: 262, top: 128, color: ['#b8705a', '#94533f'] },
    { near: 262, far: 336, top: 190, color: ['#d3c9b4', '#aca18c'] },
    { near: 336, far: 384, top: 236, color: ['#9c8f8b', '#7d706d'] },
  ];
  return row.map((house, i) => front(house, i, random)).join('') + cottage();
}

function front({ near, far, top, color }, i, random) {
  const slope = (x) => (x - near) / (470 - near);
  const roof = (x) => top + (horizon - 20 - top) * slope(x);
  const foot = (x) => 470 + (horizon + 8 - 470) * ((x + 40) / 510);
  const windows = [];
  const columns = Math.max(2, Math.round((far - near) / 38));
  for (let row = 0; row < 4; row++) {
    for (let column = 0; column < columns; column++) {
      windows.push(pane({ near, far, roof, foot, row, column, columns }, random));
    }
  }
  const wall = `M${near} ${roof(near)} L${far} ${roof(far)} L${far} ${foot(far)} L${near} ${foot(near)}Z`;
  return `<linearGradient id="wall${i}"><stop offset="0" stop-color="${color[0]}"/>
  <stop offset="1" stop-color="${color[1]}"/></linearGradient>
  <path d="${wall}" fill="url(#wall${i})" filter="url(#plaster)"/>
  <path d="M${near} ${roof(near)} L${far} ${roof(far)} l0 7 L${near} ${roof(near) + 13}Z" fill="#5d4b43"/>
  ${windows.join('')}`;
}

function pane({ near, far, roof, foot, row, column, columns }, random) {
  const at = (u, v) => {
    const x = near + (far - near) * u;
    return `${x.toFixed(1)} ${(roof(x) + (foot(x) - roof(x)) * v).toFixed(1)}`;
  };
  const u = (column + 0.24) / columns;
  const w = 0.52 / columns;
  const v = 0.1 + row * 0.225;
  const h = row === 3 ? 0.19 : 0.13;
  const corners = (grow) =>
    `M${at(u - grow, v - grow)} L${at(u + w + grow, v - grow)} L${at(u + w + grow, v + h + grow)} L${at(u - grow, v + h + grow)}Z`;
  const glass = mix([44, 54, 66], [142, 170, 196], random(0, 1) ** 1.6);
  return `<path d="${corners(0.012)}" fill="#e9e2d2" opacity="0.9"/><path d="${corners(0)}" fill="${glass}"/>
  <path d="M${at(u + w / 2, v)} L${at(u + w / 2, v + h)}" stroke="#e3dccb" stroke-width="1.6"/>`;
}

function cottage() {
  return `<linearGradient id="cot"><stop offset="0" stop-color="#efe6d2"/><stop offset="1" stop-color="#c4b597"/></linearGradient>
  <linearGradient id="tiles" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#9a4a38"/><stop offset="1" stop-color="#763427"/></linearGradient>
  <path d="M604 268 H792 V372 H604Z" fill="url(#cot)" filter="url(#plaster)"/>
  <path d="M588 272 L640 206 H762 L808 272Z" fill="url(#tiles)" filter="url(#plaster)"/>
  <path d="M726 190 h22 v36 h-22Z" fill="#8b6354"/>
  ${[622, 668, 748].map((x) => `<path d="M${x - 3} 290 h32 v36 h-32Z" fill="#fbf7ec"/><path d="M${x} 293 h26 v30 h-26Z" fill="#52687c"/><path d="M${x} 293 h26 l-26 24Z" fill="#8ea9bf" opacity="0.7"/><path d="M${x + 13} 293 v30" stroke="#fbf7ec" stroke-width="2"/>`).join('')}
  <path d="M708 300 h28 v72 h-28Z" fill="#4a5d47"/><circle cx="731" cy="338" r="2" fill="#d9c27a"/>`;
}

/** Lawn on both sides of a road that leaves towards the horizon. */
export function ground(random, width, height) {
  const blades = [];
  for (let i = 0; i < 1500; i++) {
    const y = 400 + (height - 400) * random(0, 1) ** 0.6;
    const near = (y - 380) / (height - 380);
    const x = random(498 + (306 * (y - horizon)) / (height - horizon), width + 20);
    const color = mix([58, 96, 28], [152, 184, 82], random(0, 1));
    const lean = random(-4, 4) * near;
    blades.push(
      `<path d="M${x.toFixed(0)} ${y.toFixed(0)} q${lean.toFixed(1)} ${(-6 * near).toFixed(1)} ${(lean * 2).toFixed(1)} ${(-4 - 12 * near).toFixed(1)}" stroke="${color}" stroke-width="${(0.5 + 1.1 * near).toFixed(1)}" opacity="0.75" fill="none"/>`,
    );
  }
  const dashes = [0.06, 0.2, 0.45, 0.85].map((t) => {
    const y = horizon + 14 + (height - horizon) * t;
    const long = 8 + 62 * t;
    const x = (row) => 452 - 300 * ((row - horizon) / (height - horizon));
    const half = 0.8 + 6 * t;
    return `<path d="M${x(y) - half} ${y} L${x(y) + half} ${y} L${x(y + long) + half * 1.5} ${y + long} L${x(y + long) - half * 1.5} ${y + long}Z" fill="#e6e2d6" opacity="0.85"/>`;
  });
  return `<linearGradient id="green" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#93ad62"/>
  <stop offset="1" stop-color="#4f7a2b"/></linearGradient>
  <linearGradient id="tar" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#9b9a98"/>
  <stop offset="1" stop-color="#56565a"/></linearGradient>
  <linearGradient id="walk" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#cbc5b8"/>
  <stop offset="1" stop-color="#a39b8c"/></linearGradient>
  <path d="M0 ${horizon} H${width} V${height} H0Z" fill="url(#green)" filter="url(#lawn)"/>
  <path d="M440 ${horizon} L482 ${horizon} L690 ${height} L-360 ${height}Z" fill="url(#tar)" filter="url(#asphalt)"/>
  <path d="M482 ${horizon} L494 ${horizon} L800 ${height} L684 ${height}Z" fill="url(#walk)" filter="url(#asphalt)"/>
  <path d="M482 ${horizon} L684 ${height}" stroke="#e2ddd0" stroke-width="3"/>
  <path d="M428 ${horizon} L440 ${horizon} L-360 ${height} H-560Z" fill="url(#walk)"/>
  ${dashes.join('')}${blades.join('')}`;
}

/** A leafy tree whose foot stands at (x, y). */
export function tree(random, { x, y, size }) {
  const leaves = [];
  for (let i = 0; i < 150; i++) {
    const angle = random(0, Math.PI * 2);
    const reach = Math.sqrt(random(0, 1));
    const dx = Math.cos(angle) * reach;
    const dy = Math.sin(angle) * reach * 0.82;
    const light = Math.min(1, Math.max(0, 0.52 - 0.34 * dx - 0.42 * dy + random(-0.22, 0.22)));
    leaves.push({
      light: light + random(-0.2, 0.2),
      mark: `<ellipse cx="${(x + dx * size).toFixed(1)}" cy="${(y - size * 1.75 + dy * size).toFixed(1)}" rx="${(size * random(0.1, 0.22)).toFixed(1)}" ry="${(size * random(0.08, 0.16)).toFixed(1)}" fill="${mix([25, 48, 20], [146, 176, 74], light)}"/>`,
    });
  }
  leaves.sort((a, b) => a.light - b.light);
  const wide = size * 0.09;
  return `<ellipse cx="${x + size * 0.5}" cy="${y}" rx="${size * 1.05}" ry="${size * 0.13}" fill="#16240f" opacity="0.5" filter="url(#shadow)"/>
  <linearGradient id="bark${Math.round(x)}"><stop offset="0" stop-color="#8a6c4d"/><stop offset="1" stop-color="#3a2a1c"/></linearGradient>
  <path d="M${x - wide * 1.5} ${y} Q${x - wide * 0.8} ${y - size * 0.6} ${x - wide * 0.8} ${y - size * 1.4} H${x + wide * 0.8} Q${x + wide * 0.8} ${y - size * 0.6} ${x + wide * 1.6} ${y}Z" fill="url(#bark${Math.round(x)})" filter="url(#plaster)"/>
  <g filter="url(#leaves)">${leaves.map(({ mark }) => mark).join('')}</g>`;
}

export function lamp({ x, y }) {
  return `<path d="M${x} ${y} V${y - 196} q0 -20 26 -20 h10" stroke="#3b4245" stroke-width="5" fill="none"/>
  <path d="M${x + 28} ${y - 222} h26 l-5 11 h-17Z" fill="#2e3436"/><path d="M${x + 33} ${y - 211} h15 l-3 4 h-9Z" fill="#fbf3d3"/>
  <path d="M${x - 6} ${y} h12 v-22 h-12Z" fill="#33393b"/>`;
}

export function bench({ x, y }) {
  const slats = [-34, -26, -18].map(
    (dy) =>
      `<path d="M${x} ${y + dy} h86 v5 h-86Z" fill="#9a6b3f"/><path d="M${x} ${y + dy} h86 v1.6 h-86Z" fill="#c0905d"/>`,
  );
  return `<ellipse cx="${x + 52}" cy="${y + 10}" rx="60" ry="6" fill="#1a2910" opacity="0.5" filter="url(#shadow)"/>
  ${slats.join('')}<path d="M${x - 3} ${y - 8} h92 l6 6 h-104Z" fill="#a87a4b"/>
  ${[6, 74].map((dx) => `<path d="M${x + dx} ${y - 36} v44 h5 v-44Z" fill="#33302c"/>`).join('')}`;
}
