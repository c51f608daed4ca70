/** The managed copies of LibTorch in the user's cache folder: where they lie and which are complete. */
import { readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** Written last into an entry, so an entry without it is not complete. */
export const RECORD_NAME = 'lexiseg-libtorch.json';

/** What an installation says of itself. */
export interface CacheRecord {
  readonly version: string;
  readonly flavour: string;
  readonly platform: string;
  readonly arch: string;
  /** Folder with `lib/`, relative to the entry. */
  readonly root: string;
  /** Archive, folder or requirement it was made from. */
  readonly source: string;
  /** SHA-256 of that archive, or null for a folder. */
  readonly sha256: string | null;
  readonly installedAt: string;
}

export interface CacheEntry {
  readonly folder: string;
  readonly root: string;
  readonly record: CacheRecord;
}

/** `$LEXISEG_CACHE`, else `$XDG_CACHE_HOME/lexiseg`, else `~/.cache/lexiseg`. */
export function cacheFolder(): string {
  const own = process.env.LEXISEG_CACHE;
  if (own) return own;
  const xdg = process.env.XDG_CACHE_HOME;
  return join(xdg && isAbsolute(xdg) ? xdg : join(homedir(), '.cache'), 'lexiseg');
}

export function libtorchCacheFolder(): string {
  return join(cacheFolder(), 'libtorch');
}

/** Name of an entry: `2.13.0-cpu-linux-x64`. */
export function entryName(version: string, flavour: string): string {
  return `${version.split('+')[0]}-${flavour}-${process.platform}-${process.arch}`;
}

/** Complete entries for this platform, newest version first, CUDA builds before CPU ones. */
export function cacheEntries(): CacheEntry[] {
  const folder = libtorchCacheFolder();
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  const entries: CacheEntry[] = [];
  for (const name of names) {
    const record = readRecord(join(folder, name));
    if (record?.platform === process.platform && record.arch === process.arch) {
      entries.push({ folder: join(folder, name), root: join(folder, name, record.root), record });
    }
  }
  return entries.sort(
    (a, b) =>
      b.record.version.localeCompare(a.record.version, 'en', { numeric: true }) ||
      Number(a.record.flavour === 'cpu') - Number(b.record.flavour === 'cpu'),
  );
}

function readRecord(folder: string): CacheRecord | null {
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, RECORD_NAME), 'utf8'));
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is CacheRecord {
  if (value === null || typeof value !== 'object') return false;
  const fields = value as Record<string, unknown>;
  return ['version', 'flavour', 'platform', 'arch', 'root'].every(
    (name) => typeof fields[name] === 'string',
  );
}
