/** The car, the person and the dog, as SVG. (x, y) is the upper left corner of each. */

export function car({ x, y }) {
  return `<g transform="translate(${x} ${y})">
  <ellipse cx="162" cy="118" rx="172" ry="13" fill="#0c0d10" opacity="0.7" filter="url(#shadow)"/>
  <linearGradient id="paint" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#e0564a"/>
  <stop offset="0.42" stop-color="#b5221f"/><stop offset="0.55" stop-color="#d0332c"/><stop offset="1" stop-color="#64100f"/></linearGradient>
  <linearGradient id="glass" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="#cfe0ec"/>
  <stop offset="0.45" stop-color="#5f7487"/><stop offset="1" stop-color="#27313c"/></linearGradient>
  <path d="M6 98 C-4 78 2 62 22 56 L74 48 C96 20 122 6 160 4 C206 2 232 14 258 44 L300 52 C322 56 330 72 328 100 L316 106 H14Z" fill="url(#paint)"/>
  <path d="M90 47 C106 26 126 16 156 14 L158 47Z" fill="url(#glass)"/>
  <path d="M166 14 C202 13 222 22 242 45 L168 47Z" fill="url(#glass)"/>
  <path d="M4 80 H328 L326 86 H5Z" fill="#4d0c0b" opacity="0.6"/>
  <path d="M26 58 C90 48 250 48 304 56" stroke="#ff9d90" stroke-width="2.5" fill="none" opacity="0.8"/>
  <path d="M162 10 V100" stroke="#6b1513" stroke-width="2"/><path d="M88 50 L84 100" stroke="#6b1513" stroke-width="2"/>
  <path d="M176 58 h16 v4 h-16Z M100 58 h16 v4 h-16Z" fill="#f0a79d"/>
  <path d="M312 60 q14 4 14 16 h-14Z" fill="#fff6d8"/><path d="M4 66 q4 -8 14 -8 v14 h-15Z" fill="#8d1414"/>
  <path d="M0 94 h330 v8 q-4 5 -10 5 H12 q-10 0 -12 -6Z" fill="#26211f"/>
  ${wheel(70)}${wheel(260)}</g>`;
}

function wheel(cx) {
  const spokes = [0, 72, 144, 216, 288].map(
    (angle) =>
      `<path d="M-3 -17 h6 L2 0 h-4Z" transform="translate(${cx} 98) rotate(${angle})" fill="#c9ccd1"/>`,
  );
  return `<circle cx="${cx}" cy="98" r="33" fill="#2a0b0a"/>
  <radialGradient id="tyre${cx}"><stop offset="0.6" stop-color="#17181a"/><stop offset="0.9" stop-color="#35373a"/><stop offset="1" stop-color="#0f1011"/></radialGradient>
  <circle cx="${cx}" cy="98" r="29" fill="url(#tyre${cx})"/><circle cx="${cx}" cy="98" r="18" fill="#6f7379"/>
  ${spokes.join('')}<circle cx="${cx}" cy="98" r="5" fill="#e6e8ea"/>`;
}

export function person({ x, y }) {
  return `<g transform="translate(${x} ${y})">
  <ellipse cx="74" cy="206" rx="66" ry="8" fill="#17160f" opacity="0.6" filter="url(#shadow)"/>
  <linearGradient id="coat"><stop offset="0" stop-color="#3f7fae"/><stop offset="0.5" stop-color="#265a86"/><stop offset="1" stop-color="#123351"/></linearGradient>
  <linearGradient id="jeans"><stop offset="0" stop-color="#59616f"/><stop offset="1" stop-color="#23272f"/></linearGradient>
  <radialGradient id="skin" cx="0.38" cy="0.4" r="0.7"><stop offset="0" stop-color="#f0c6a4"/><stop offset="1" stop-color="#a8714f"/></radialGradient>
  <path d="M38 112 C40 148 34 172 22 198 L36 203 C50 176 56 152 60 124 C66 152 72 178 74 203 L90 203 C90 170 86 140 82 112Z" fill="url(#jeans)"/>
  <path d="M18 196 l20 7 q4 5 -4 6 h-20 q-2 -8 4 -13Z M74 200 h16 l10 6 q0 5 -6 5 h-20Z" fill="#3a2c22"/>
  <path d="M40 44 C30 50 28 84 34 120 C50 127 72 127 88 120 C92 84 92 52 80 44 C70 38 50 38 40 44Z" fill="url(#coat)"/>
  <path d="M40 48 C28 62 20 84 24 106 L34 108 C34 90 40 76 48 64Z" fill="#3474a4"/>
  <path d="M82 48 C94 64 104 80 104 100 L94 104 C88 90 82 78 76 66Z" fill="#183f61"/>
  <ellipse cx="28" cy="110" rx="6" ry="7" fill="url(#skin)"/><ellipse cx="99" cy="106" rx="6" ry="7" fill="url(#skin)"/>
  <path d="M60 44 L62 122" stroke="#0f2b45" stroke-width="1.6"/>
  <path d="M52 30 h16 v14 q-8 6 -16 0Z" fill="#b98562"/>
  <ellipse cx="60" cy="20" rx="15" ry="19" fill="url(#skin)"/>
  <path d="M44 20 C42 0 78 -6 77 18 C76 26 74 30 72 32 C74 18 66 12 56 12 C50 12 47 18 48 30 C45 28 44 24 44 20Z" fill="#3b2415"/>
  <path d="M42 38 q18 11 38 0 l2 9 q-21 9 -42 0Z" fill="#c9922f"/></g>`;
}

export function dog({ x, y }) {
  return `<g transform="translate(${x} ${y})">
  <ellipse cx="84" cy="92" rx="88" ry="8" fill="#10190a" opacity="0.65" filter="url(#shadow)"/>
  <linearGradient id="fell" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#d59a55"/><stop offset="0.55" stop-color="#a66a30"/><stop offset="1" stop-color="#5d3716"/></linearGradient>
  <g filter="url(#fur)">
  <path d="M128 34 C150 30 160 12 158 0 C168 16 160 44 134 48Z" fill="url(#fell)"/>
  <path d="M112 58 L124 92 H134 L132 50Z M46 60 L44 92 H54 L62 62Z" fill="#6d4420"/>
  <path d="M34 34 C52 24 104 22 130 30 C142 36 142 58 132 66 C104 70 76 70 54 66 C36 62 30 46 34 34Z" fill="url(#fell)"/>
  <path d="M58 56 L62 92 H73 L76 60Z M104 58 L104 92 H115 L124 56Z" fill="#a06831"/>
  <path d="M56 30 C48 12 34 4 20 8 C8 10 -4 20 -6 28 C-4 35 6 37 14 37 C22 44 36 52 48 48Z" fill="url(#fell)"/>
  <path d="M30 8 C40 6 48 14 44 34 C38 38 32 32 30 26Z" fill="#6b3f1a"/></g>
  <ellipse cx="-4" cy="27" rx="4.5" ry="3.6" fill="#17110d"/><circle cx="16" cy="18" r="2.4" fill="#17110d"/><circle cx="15.3" cy="17.3" r="0.8" fill="#fff"/>
  <path d="M46 44 q8 -10 14 -16 l5 4 q-8 8 -12 17Z" fill="#2d6b9a"/></g>`;
}
