/** Numbers of tensors that may lie on a GPU, in JavaScript's own memory. */
import { runJob } from '../job.js';
import type { NativeTensor } from '../native.js';

/** A copy of a tensor's numbers as float32, wherever they lie and whatever they are. */
export async function float32OnHost(
  tensor: NativeTensor,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  if (tensor.device === 'cpu' && tensor.dtype === 'float32') {
    return (tensor.data() as Float32Array).slice();
  }
  const onHost = await runJob(signal, (job) => tensor.to(job, 'cpu', 'float32'));
  try {
    return (onHost.data() as Float32Array).slice();
  } finally {
    onHost.dispose();
  }
}
