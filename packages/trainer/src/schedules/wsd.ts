import { checkOptions } from '@heddle/tensor';
import { cosine } from './decay.ts';
import { type Schedule, shareDone, wholeSteps } from './schedule.ts';

/** Options of `warmupStableDecaySchedule`. */
export interface WarmupStableDecayOptions {
  /** The value between warm-up and decay. */
  readonly peak: number;
  /** Steps of linear warm-up: step `s` of them has `peak * (s + 1) / warmupSteps`. */
  readonly warmupSteps: number;
  /** Steps at `peak`. */
  readonly stableSteps: number;
  /** Steps from `peak` down to `final`. */
  readonly decaySteps: number;
  /** The value from then on, 0 where none is named. */
  readonly final?: number;
  /** How the value falls: on a line, half a cosine, or as 1 - sqrt(share); 'linear' where not named. */
  readonly decay?: 'linear' | 'cosine' | 'sqrt';
}

/**
 * Warm-up, a plateau, decay (WSD): a run may be prolonged from anywhere on the plateau. Source: https://arxiv.org/abs/2404.06395
 * @throws ArgumentError where the steps are no whole numbers, or the decay is none of the three
 */
export function warmupStableDecaySchedule(options: WarmupStableDecayOptions): Schedule {
  checkOptions('warmupStableDecaySchedule', options, {
    peak: 'finite',
    warmupSteps: 'number',
    stableSteps: 'number',
    decaySteps: 'number',
    final: 'finite?',
    decay: [undefined, 'linear', 'cosine', 'sqrt'],
  });
  const { peak, warmupSteps, stableSteps, decaySteps, final = 0, decay = 'linear' } = options;
  const name = 'warmupStableDecaySchedule';
  wholeSteps(name, { warmupSteps, stableSteps, decaySteps });
  const start = warmupSteps + stableSteps;
  return (step) => {
    if (step < warmupSteps) return (peak * (step + 1)) / warmupSteps;
    if (step < start) return peak;
    if (decaySteps === 0) return final;
    const share = shareDone(step, start, start + decaySteps);
    if (decay === 'cosine') return cosine(peak, final, share);
    return peak + (final - peak) * (decay === 'linear' ? share : Math.sqrt(share));
  };
}
