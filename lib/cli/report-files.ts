/** A report as files: the numbers for programs, a page for people. */
import { OutputFolder } from './output-folder.js';
import type { ProgressLine } from './terminal.js';

/** Sees that the folder of a report takes files, before the work that it is to tell of. */
export async function openReport(folder: string | undefined): Promise<void> {
  if (folder !== undefined) await new OutputFolder(folder).open();
}

/** Writes STEM.json and STEM.html, and says so. */
export async function writeReport(
  folder: string,
  stem: string,
  { report, html }: { report: unknown; html: string },
  progress: ProgressLine,
): Promise<void> {
  const out = new OutputFolder(folder);
  for (const [name, content] of [
    [`${stem}.json`, `${JSON.stringify(report, null, 1)}\n`],
    [`${stem}.html`, html],
  ] as const) {
    progress.step(`wrote ${await out.write(name, content)}`);
  }
}
