/** Reports as one HTML file that needs nothing beside itself. */
import { escapeXml } from './svg-text.js';

const STYLE = `
  :root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
  body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
  table { border-collapse: collapse; margin: 1rem 0; }
  th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #8884; }
  th:first-child, td:first-child { text-align: left; }
  thead th { position: sticky; top: 0; background: Canvas; }
  .bar { display: inline-block; height: .6em; background: #4a7fd6; vertical-align: baseline; }
  figure { display: inline-block; margin: .5rem; width: 22rem; vertical-align: top; }
  figure img { width: 49%; } figcaption { font-size: 13px; overflow-wrap: anywhere; }
  figure.plot { width: 34rem; } figure.plot svg { width: 100%; height: auto; }
  .scroll { max-height: 32rem; overflow: auto; }`;

/** A whole page around parts that are HTML already. */
export function htmlPage(title: string, parts: readonly string[]): string {
  return (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">' +
    '<meta name="viewport" content="width=device-width, initial-scale=1">' +
    `<title>${escapeXml(title)}</title><style>${STYLE}</style></head>` +
    `<body><h1>${escapeXml(title)}</h1>${parts.join('\n')}</body></html>\n`
  );
}

/** A table of plain texts. */
export const htmlTable = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  rawTable(
    head,
    rows.map((row) => row.map(escapeXml)),
  );

/** A table whose cells are HTML already. */
export function rawTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[], tag: string): string =>
    `<tr>${row.map((cell) => `<${tag}>${cell}</${tag}>`).join('')}</tr>`;
  return (
    `<table><thead>${cells(head.map(escapeXml), 'th')}</thead>` +
    `<tbody>${rows.map((row) => cells(row, 'td')).join('')}</tbody></table>`
  );
}
