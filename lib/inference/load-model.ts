/** Loads a bundle's network as the options ask for it. */
import type { ParsedLoadOptions } from '../load-options.js';
import type { Manifest } from '../manifest.js';
import { type NativeJob, type NativeModel, native } from '../native.js';

export function loadModel(
  job: NativeJob,
  { file, manifest, options }: { file: string; manifest: Manifest; options: ParsedLoadOptions },
): Promise<NativeModel> {
  const { device, dtype, threads, ensemble } = options;
  const edges = inputEdges(options, manifest);
  const { keepFloat32 } = manifest;
  return native().loadModel(job, file, device, dtype, threads, keepFloat32, ensemble, edges);
}

/** Shorter and longer edge of the network input, where they are not the bundle's own. */
function inputEdges(
  { shortestEdge: wanted }: ParsedLoadOptions,
  { image }: Manifest,
): readonly [shortest: number, longest: number] | undefined {
  if (wanted === undefined) return undefined;
  const { shortestEdge, longestEdge } = image.sizeRule;
  return [wanted, Math.max(wanted, Math.round((wanted * longestEdge) / shortestEdge))];
}
