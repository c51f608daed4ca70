/** The child process of the doctor: one step after the other, one line of JSON for each. */
import { findBinaries, type LibraryLoader, reasonOf, requireBinary } from './binaries.js';
import type { Stage, StageReport } from './doctor.js';
import { LexisegError } from './errors.js';
import { checkPlatform, type Source } from './libtorch/check.js';
import { findLibTorch } from './libtorch/find.js';
import { type NativeBinding, native } from './native.js';

async function step(
  stage: Stage,
  action: () => Record<string, unknown> | Promise<Record<string, unknown>>,
): Promise<void> {
  try {
    tell({ stage, facts: await action() });
  } catch (error) {
    const { code, details } = error as { code?: unknown; details?: { source?: Source } };
    tell({
      stage,
      error: {
        code: typeof code === 'string' ? code : 'ERR_NATIVE_LOAD',
        message: reasonOf(error),
        ...(details?.source === undefined ? {} : { source: details.source }),
      },
    });
    process.exit(1);
  }
}

function tell(report: StageReport): void {
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

function describeBinding(binding: NativeBinding): Record<string, unknown> {
  return {
    ...binding.versions(),
    devices: binding.devices(),
    cudaUnavailableReason: binding.cudaUnavailableReason(),
    cpuFeatures: binding.cpuFeatures(),
    threads: binding.availableThreads(),
  };
}

/** Two masks that split a 2 × 2 picture between two classes: the answer is known. */
async function selfTest(binding: NativeBinding): Promise<Record<string, unknown>> {
  const masks = binding.copyTensor(
    Float32Array.from([9, -9, 9, -9, -9, 9, -9, 9]),
    [1, 2, 2, 2],
    'float32',
  );
  const rare = Math.log(0.01);
  const likely = Math.log(0.98);
  const classes = binding.copyTensor(
    Float32Array.from([rare, likely, rare, likely, rare, rare]),
    [1, 2, 3],
    'float32',
  );
  const geometry = [2, 2, 2, 2, 2, 2] as const;
  const job = binding.createJob();
  const { labels } = await binding.labelMap(job, masks, 0, classes, geometry, false);
  const found = Array.from(labels.data() as Int32Array).join(' ');
  const wanted = '1 0 1 0';
  if (found !== wanted) {
    throw new LexisegError('ERR_INFERENCE', `the self-test gave ${found}, not ${wanted}`);
  }
  for (const tensor of [masks, classes, labels]) tensor.dispose();
  return { labelMap: found };
}

await step('binaries', () => {
  checkPlatform();
  const binaries = findBinaries();
  return { ...binaries, builtFor: requireBinary<LibraryLoader>(binaries.loader).torchVersion };
});
await step('libtorch', () => {
  const { torchVersion } = requireBinary<LibraryLoader>(findBinaries().loader);
  return { ...findLibTorch(torchVersion) };
});
await step('addon', () => describeBinding(native()));
await step('self-test', () => selfTest(native()));
