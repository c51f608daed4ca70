/** `lexiseg inspect`: what a bundle says of itself, read without its weights. */
import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { labelBundle, readManifest, verifyWeights } from '../bundle.js';
import { findBundleFile } from '../bundle-file.js';
import type { Manifest } from '../manifest.js';
import type { TrainingInfo } from '../manifest-training.js';
import { placeGridFacts } from './place-grid.js';
import { formatBytes, ProgressLine, plain, print, printJson } from './terminal.js';

interface InspectFlags {
  json?: boolean;
  verify?: boolean;
  classes?: boolean;
}

export function addInspectCommand(program: Command, signal: AbortSignal): void {
  program
    .command('inspect')
    .description('say what a bundle is and can do, without loading its weights')
    .argument('<bundle>', 'bundle, a file or the name of a shipped one')
    .option('--json', 'print the whole manifest as JSON')
    .option('--verify', 'also compare the weights with the SHA-256 in the manifest')
    .option('--classes', 'list the classes it was trained on')
    .addHelpText(
      'after',
      '\nExamples:\n  lexiseg inspect model.pt --verify\n  lexiseg inspect demo-fc-clip --classes\n' +
        '  lexiseg inspect model.pt --json | jq .trainingClasses[].name',
    )
    .action((path: string, flags: InspectFlags) => inspect(path, flags, signal));
}

async function inspect(path: string, flags: InspectFlags, signal: AbortSignal): Promise<void> {
  const file = await findBundleFile(path);
  const manifest = await readManifest(file, { signal });
  if (flags.verify) {
    const progress = new ProgressLine({ quiet: flags.json === true });
    progress.step('hashing the weights');
    await verifyWeights(file, manifest, signal).finally(() => progress.clear());
  }
  if (flags.json) {
    printJson({ path: file, verified: flags.verify === true, ...manifest });
    return;
  }
  const { size } = await stat(file);
  for (const [name, value] of facts(file, size, manifest))
    print(`${name.padEnd(18)} ${plain(value)}`);
  if (flags.verify) print(`${'verified'.padEnd(18)} the weights are those of the manifest`);
  if (flags.classes) {
    for (const { name, synonyms, thing } of manifest.trainingClasses) {
      print(`  ${plain(name)} (${thing ? 'thing' : 'stuff'}): ${plain(synonyms.join(', '))}`);
    }
  }
}

function facts(file: string, bytes: number, manifest: Manifest): [string, string][] {
  const { weights, image, thresholds, ensemble, training } = manifest;
  const { shortestEdge, longestEdge } = image.sizeRule;
  return [
    ['bundle', labelBundle(file, manifest).label],
    ['file', `${file} (${formatBytes(bytes)})`],
    ['method', manifest.method],
    ['tasks', manifest.tasks.join(', ')],
    ['can also', furtherUses(manifest).join(', ') || 'nothing'],
    ['weights', `${weights.kind}, ${weights.dtype}`],
    ['source', weights.source],
    ['licence', weights.licence],
    ['sha256', weights.sha256],
    ['image size', `shortest edge ${shortestEdge}, longest at most ${longestEdge} pixels`],
    ...placeGridFacts(manifest),
    ['embedding', `${manifest.embeddingDim} wide, prompts of ${manifest.contextLength} tokens`],
    ['prompt templates', String(manifest.promptTemplates.length)],
    ['training classes', String(manifest.trainingClasses.length)],
    ...(thresholds === undefined
      ? []
      : [
          [
            'thresholds',
            `object mask ${thresholds.objectMask}, overlap ${thresholds.overlap}, ` +
              `top ${thresholds.instanceTopK} instances`,
          ] as [string, string],
        ]),
    ...(ensemble === undefined
      ? []
      : [
          ['ensemble', `alpha ${ensemble.alpha} (seen), beta ${ensemble.beta} (unseen)`] as [
            string,
            string,
          ],
        ]),
    ['training', training === undefined ? 'no loss inside' : `on ${training.batch} batches`],
    ...(training === undefined ? [] : groupFacts(training)),
    ['written by', `${manifest.createdBy}, torch ${manifest.torchVersion}`],
  ];
}

/** The groups of parameters that train and those that do not, with what multiplies their rate. */
function groupFacts({ groups }: TrainingInfo): [string, string][] {
  const named = (frozen: boolean): string => {
    const names = groups
      .filter((group) => group.frozen === frozen)
      .map(({ name, learningRateMultiplier: factor }) =>
        factor === 1 ? name : `${name} ×${factor}`,
      );
    return [...new Set(names)].join(', ') || 'none';
  };
  return [
    ['trained groups', named(false)],
    ['frozen groups', named(true)],
  ];
}

/** What a bundle can do beside segmenting pictures. */
function furtherUses({ methods, proposals, tasks }: Manifest): string[] {
  const uses: [boolean, string][] = [
    [
      tasks.includes('panoptic') && proposals.includes('query_embeddings'),
      'follow things in videos',
    ],
    [methods.includes('embed_masks'), "name another bundle's masks"],
    [methods.includes('patch_similarity'), 'draw heat maps'],
    [methods.includes('classify_image'), 'classify images'],
    [methods.includes('encode_image'), 'embed images'],
  ];
  return uses.filter(([can]) => can).map(([, use]) => use);
}
