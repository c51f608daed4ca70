/** Variants beside each other, mean and spread over seeds: as text, and as a page with bars. */

/**
 * @typedef {object} ClaimReport
 * @property {string} name
 * @property {string} claim what should be seen
 * @property {string} command that repeats it
 * @property {number | null} minutes it took from nothing; null when that of a stage was not kept
 * @property {{ key: string, label: string, digits: number, lower?: boolean }[]} metrics `lower`: the
 *   less the better
 * @property {(string | number)[]} seeds
 * @property {{ name: string, values: Record<string, number[]> }[]} rows a value for each seed
 * @property {string[]} notes
 */

export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Half the distance between the extremes. */
const spread = (values) => (Math.max(...values) - Math.min(...values)) / 2;

const shown = (values, digits) =>
  `${mean(values).toFixed(digits)} ± ${spread(values).toFixed(digits)}`;

/** @param {ClaimReport} report */
export function summaryTable({ metrics, rows }) {
  const cells = [
    ['', ...metrics.map(({ label }) => label)],
    ...rows.map(({ name, values }) => [
      name,
      ...metrics.map(({ key, digits }) => shown(values[key], digits)),
    ]),
  ];
  const widths = cells[0].map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  return cells.map((row) => row.map((cell, i) => cell.padEnd(widths[i] + 2)).join('')).join('\n');
}

const escapeHtml = (text) => String(text).replace(/[&<>"]/g, (sign) => `&#${sign.codePointAt(0)};`);

const WIDTH = 520;
const ROW = 22;
const NAMES = 150;

/** A bar for each variant, with a dot for each seed. */
function bars({ label, key, digits, lower }, rows) {
  const most = Math.max(1e-9, ...rows.flatMap(({ values }) => values[key]));
  const x = (value) => NAMES + (Math.max(0, value) / most) * (WIDTH - NAMES - 70);
  const lines = rows.map(({ name, values }, i) => {
    const y = 28 + i * ROW;
    const own = values[key];
    const dots = own.map((value) => `<circle cx="${x(value)}" cy="${y + 7}" r="2.5" fill="#222"/>`);
    return (
      `<text x="${NAMES - 8}" y="${y + 11}" text-anchor="end">${escapeHtml(name)}</text>` +
      `<rect x="${NAMES}" y="${y}" width="${x(mean(own)) - NAMES}" height="14" fill="#4a7fd6"/>` +
      `${dots.join('')}<text x="${x(Math.max(...own)) + 8}" y="${y + 11}">${mean(own).toFixed(digits)}</text>`
    );
  });
  const title = `${label}${lower ? ' (less is better)' : ''}`;
  return (
    `<svg viewBox="0 0 ${WIDTH} ${36 + rows.length * ROW}" width="${WIDTH}" font-size="12" ` +
    `font-family="sans-serif" role="img" aria-label="${escapeHtml(title)}">` +
    `<text x="0" y="14" font-weight="600">${escapeHtml(title)}</text>${lines.join('')}</svg>`
  );
}

/** @param {ClaimReport} report */
export function claimPage(report) {
  const { name, claim, command, minutes, metrics, rows, seeds, notes } = report;
  const head = ['', ...metrics.map(({ label }) => label)];
  const body = rows.map(({ name: variant, values }) => [
    variant,
    ...metrics.map(({ key, digits }) => shown(values[key], digits)),
  ]);
  const line = (cells, tag) =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;
  return (
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(name)}</title><style>` +
    'body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}' +
    'td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ccc}' +
    'td:first-child{text-align:left}svg{display:block;margin:1.2rem 0}</style></head><body>' +
    `<h1>${escapeHtml(name)}</h1><p>${escapeHtml(claim)}</p><table>${line(head, 'th')}` +
    `${body.map((cells) => line(cells, 'td')).join('')}</table>` +
    `<p>Mean ± half the range over the seeds ${escapeHtml(seeds.join(', '))}; dots are single seeds.</p>` +
    `${metrics.map((metric) => bars(metric, rows)).join('')}` +
    `${notes.map((note) => `<p>${escapeHtml(note)}</p>`).join('')}` +
    `<p><code>${escapeHtml(command)}</code>, ${Number.isFinite(minutes) ? minutes : 'an unknown number of'} minutes.</p></body></html>\n`
  );
}
