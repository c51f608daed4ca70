/** Fetches one archive by URL into a file, through the proxies that the environment names. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { LexisegError } from '../errors.js';

export interface DownloadOptions {
  readonly url: URL;
  readonly file: string;
  readonly signal?: AbortSignal | undefined;
  /** Bytes so far and in all; `null` when the server does not say. */
  readonly onBytes?: ((done: number, total: number | null) => void) | undefined;
}

/**
 * Streams the body of a URL into a file.
 *
 * @throws LexisegError `ERR_LIBTORCH_INSTALL` when `LEXISEG_OFFLINE=1`, when the server refuses, or
 * when fewer bytes arrive than it announced.
 */
export async function download(options: DownloadOptions): Promise<void> {
  const { url, file, signal, onBytes } = options;
  if (process.env.LEXISEG_OFFLINE === '1') {
    throw refuse(url, 'LEXISEG_OFFLINE=1 forbids the network');
  }
  const { EnvHttpProxyAgent, request } = await import('undici');
  const dispatcher = openProxies(url, () => new EnvHttpProxyAgent());
  try {
    const { statusCode, headers, body } = await follow(url, (target) =>
      request(target, { dispatcher, ...(signal ? { signal } : {}) }),
    );
    if (statusCode !== 200) {
      await body.dump();
      throw refuse(url, `the server answered ${statusCode}`);
    }
    const total = Number(headers['content-length'] ?? Number.NaN);
    let done = 0;
    const counter = new Transform({
      transform(chunk: Buffer, _encoding, next) {
        done += chunk.length;
        onBytes?.(done, Number.isFinite(total) ? total : null);
        next(null, chunk);
      },
    });
    await pipeline(body, counter, createWriteStream(file, { flags: 'wx' }));
    if (Number.isFinite(total) && done !== total) {
      throw refuse(url, `${done} of ${total} bytes arrived`);
    }
  } catch (error) {
    if (error instanceof LexisegError || signal?.aborted) throw error;
    throw refuse(url, error instanceof Error ? error.message : String(error), error);
  } finally {
    await dispatcher.close();
  }
}

function openProxies<Agent>(url: URL, open: () => Agent): Agent {
  try {
    return open();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw refuse(url, `the proxy that the environment names is no URL: ${reason}`, error);
  }
}

type Answer = Awaited<ReturnType<typeof import('undici').request>>;

async function follow(url: URL, ask: (target: URL) => Promise<Answer>): Promise<Answer> {
  let target = url;
  for (let hop = 0; hop < 6; hop++) {
    const answer = await ask(target);
    const location = answer.headers.location;
    if (answer.statusCode < 300 || answer.statusCode > 399 || typeof location !== 'string') {
      return answer;
    }
    await answer.body.dump();
    const next = new URL(location, target);
    if (target.protocol === 'https:' && next.protocol !== 'https:') {
      throw refuse(url, `it redirects to the unencrypted ${next.origin}`);
    }
    target = next;
  }
  throw refuse(url, 'it redirects too often');
}

/** SHA-256 of a file as lower-case hex. */
export async function sha256Of(file: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash, ...(signal ? [{ signal }] : []));
  return hash.digest('hex');
}

function refuse(url: URL, reason: string, cause?: unknown): LexisegError {
  const shown = `${url.origin}${url.pathname}`;
  return new LexisegError('ERR_LIBTORCH_INSTALL', `${shown} was not fetched: ${reason}.`, {
    details: { url: shown, reason },
    ...(cause === undefined ? {} : { cause }),
  });
}
