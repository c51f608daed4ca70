/**
 * Runs the tests that touch the addon under Node 24, which an npm package brings.
 *
 *   npm run test:node24                  all of them
 *   npm run test:node24 -- test/addon    some of them
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { main, must, root, say } from './steps.mjs';

const VERSION = '24';
const FOLDERS = ['test/addon', 'test/e2e', 'test/cli', 'test/package'];

await main(async () => {
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const prefix = join(root, '.cache', 'node24');
  const node = join(prefix, 'node_modules', name, 'bin', 'node');
  if (!existsSync(node)) {
    say(`fetching ${name}@${VERSION}`);
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-save'];
    await must('npm', ['install', '--prefix', prefix, ...flags, `${name}@${VERSION}`]);
  }
  await must(node, ['--version']);
  const asked = process.argv.slice(2);
  const paths = asked.length > 0 ? asked : FOLDERS;
  // The package that is installed in a test holds the binaries of the last prebuild.
  if (paths.includes('test/package')) await must(process.execPath, ['scripts/prebuild.mjs']);
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  await must(node, [vitest, 'run', '--typecheck.enabled=false', ...paths]);
});
