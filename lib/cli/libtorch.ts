/** `lexiseg libtorch`: install, path, list, remove. */
import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import { findBinaries, type LibraryLoader, requireBinary } from '../binaries.js';
import { cacheEntries, libtorchCacheFolder } from '../libtorch/cache.js';
import { findLibTorch } from '../libtorch/find.js';
import { type InstallProgress, installLibTorch } from '../libtorch/install.js';
import { FLAVOURS, type Flavour, LIBTORCH_VERSION } from '../libtorch/release.js';
import { UsageError } from './exit.js';
import { formatBytes, formatTable, ProgressLine, print, printJson } from './terminal.js';

interface InstallFlags {
  flavour: Flavour;
  from?: string;
  sha256?: string;
  indexUrl?: string;
  findLinks?: string;
  force?: boolean;
  json?: boolean;
}

export function addLibTorchCommand(program: Command, signal: AbortSignal): void {
  const group = program
    .command('libtorch')
    .description('install and look after the LibTorch that lexiseg runs on');
  group
    .command('install')
    .description(`fetch LibTorch ${LIBTORCH_VERSION} into the cache folder`)
    .addOption(
      new Option('--flavour <name>', 'which build')
        .choices([...FLAVOURS])
        .default('cpu' as Flavour),
    )
    .option('--from <source>', 'a LibTorch archive or wheel, an unpacked folder, or a URL')
    .option('--sha256 <hex>', 'refuse an archive with another SHA-256')
    .option('--index-url <url>', 'package index for pip, instead of the one it is set to')
    .option('--find-links <place>', 'folder (or page) of wheels for pip')
    .option('--force', 'replace what is installed')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', INSTALL_HELP)
    .action((flags: InstallFlags) => install(flags, signal));
  group
    .command('path')
    .description('print the folder of the LibTorch that would be loaded')
    .option('--json', 'print everything that is known of it as JSON')
    .addHelpText('after', '\nExample:\n  export LIBTORCH="$(lexiseg libtorch path)"')
    .action((flags: { json?: boolean }) => {
      const libtorch = findLibTorch(versionWanted());
      if (flags.json) printJson(libtorch);
      else print(libtorch.root);
    });
  group
    .command('list')
    .description('list what is installed in the cache folder')
    .option('--json', 'print as JSON')
    .addHelpText('after', '\nExample:\n  lexiseg libtorch list --json')
    .action(list);
  group
    .command('remove')
    .description('remove an installation by its name in the list')
    .argument('[name]', 'name as printed by list')
    .option('--all', 'remove every installation')
    .addHelpText('after', '\nExample:\n  lexiseg libtorch remove 2.13.0-cpu-linux-x64')
    .action(remove);
}

const INSTALL_HELP = `
Examples:
  lexiseg libtorch install                              CPU build, through pip
  lexiseg libtorch install --flavour cu130              CUDA 13.0 build, through pip
  lexiseg libtorch install --find-links /srv/wheels     from a folder of wheels, no network
  lexiseg libtorch install --from libtorch.zip --sha256 9f86d0…
  lexiseg libtorch install --from /opt/libtorch

Environment: HTTPS_PROXY, NO_PROXY and pip's own settings are honoured; LEXISEG_OFFLINE=1 forbids
the network; LEXISEG_CACHE or XDG_CACHE_HOME moves the cache folder.`;

async function install(flags: InstallFlags, signal: AbortSignal): Promise<void> {
  if (flags.sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(flags.sha256)) {
    throw new UsageError('--sha256 takes 64 hexadecimal digits');
  }
  const progress = new ProgressLine({ quiet: flags.json === true });
  const show = stepsAndBytes(progress);
  const { json, ...options } = flags;
  try {
    const { entry, installed } = await installLibTorch({ ...options, signal, onProgress: show });
    progress.clear();
    if (json) printJson({ installed, ...entry });
    else {
      const verb = installed ? 'installed' : 'already installed';
      print(`LibTorch ${entry.record.version} ${verb} in ${entry.root}`);
    }
  } finally {
    progress.clear();
  }
}

function stepsAndBytes(progress: ProgressLine): (event: InstallProgress) => void {
  let text = '';
  return (event) => {
    if (event.kind === 'step') {
      text = event.text;
      progress.step(text);
    } else {
      progress.fraction(`${text} (${formatBytes(event.done)})`, event.done, event.total);
    }
  };
}

/** The addon's own wish where there is an addon; else what the next install would bring. */
function versionWanted(): string {
  try {
    return requireBinary<LibraryLoader>(findBinaries().loader).torchVersion;
  } catch {
    return LIBTORCH_VERSION;
  }
}

function list(flags: { json?: boolean }): void {
  const entries = cacheEntries();
  if (flags.json) {
    printJson({ folder: libtorchCacheFolder(), entries });
  } else if (entries.length === 0) {
    print(`Nothing is installed in ${libtorchCacheFolder()}`);
  } else {
    const rows = entries.map(({ folder, record }) => [
      basename(folder),
      record.version,
      record.source,
      record.installedAt.slice(0, 10),
    ]);
    print(formatTable(['name', 'version', 'source', 'installed'], rows));
  }
}

async function remove(name: string | undefined, flags: { all?: boolean }): Promise<void> {
  const entries = cacheEntries();
  const chosen = flags.all ? entries : entries.filter(({ folder }) => basename(folder) === name);
  if (name === undefined && !flags.all) throw new UsageError('name an installation, or give --all');
  if (chosen.length === 0 && !flags.all) {
    const known = entries.map(({ folder }) => basename(folder)).join(', ') || 'none';
    throw new UsageError(`${name} is not installed (installed: ${known})`);
  }
  for (const { folder } of chosen) {
    await rm(folder, { recursive: true, force: true });
    print(`removed ${folder}`);
  }
}
