/** Tells of a run's events, a line every so often. */

const EVERY_MS = 10_000;

export async function follow(events, name) {
  let told = 0;
  for await (const event of events) {
    if (event.type === 'step') {
      if (Date.now() - told < EVERY_MS) continue;
      told = Date.now();
      const { step, total, learningRate, gradNorm, samplesPerSecond, waiting } = event;
      const minutes = (event.remainingSeconds / 60).toFixed(1);
      console.log(
        `[${name}] step ${step}  loss ${total.toFixed(4)}  norm ${gradNorm.toFixed(2)}  ` +
          `lr ${learningRate.toExponential(2)}  ${samplesPerSecond.toFixed(0)} images/s  ` +
          `waiting ${(100 * waiting).toFixed(0)} %  ${minutes} min left`,
      );
    } else {
      console.log(`[${name}] ${JSON.stringify(event)}`);
    }
  }
}
