import { type Fault, faultsOf } from './fault.ts';

const optimizers = 'optimizers.backend.test.ts';

const recorded = faultsOf(
  ['reference'],
  [
    {
      breaks: 'moments are not corrected for their start',
      file: 'optimizers/adam.ts',
      find: '.sqrt().div(rootCorrection!)',
      put: '.sqrt()',
      tests: [optimizers],
    },
    {
      breaks: 'the second moment forgets nothing',
      file: 'optimizers/adam.ts',
      find: 'v!.mul(beta2).add(',
      put: 'v!.add(',
      tests: [optimizers],
    },
    {
      breaks: 'decay of AdamW goes through the gradient',
      file: 'optimizers/adam.ts',
      find: 'decaying && !kind.decoupled ?',
      put: 'decaying ?',
      tests: [optimizers],
    },
    {
      breaks: 'Nesterov does not look ahead',
      file: 'optimizers/sgd.ts',
      find: 'nesterov ? g.add(velocity.mul(momentum)) : velocity',
      put: 'velocity',
      tests: [optimizers],
    },
    {
      breaks: 'the direction of Lion takes the momentum of the next step',
      file: 'optimizers/lion.ts',
      find: 'sign(momentum.mul(beta1).add(g.mul(1 - beta1)))',
      put: 'sign(momentum.mul(beta2).add(g.mul(1 - beta2)))',
      tests: [optimizers],
    },
    {
      breaks: 'the loss scale grows after every step',
      file: 'precision/loss-scale.ts',
      find: 'good.greaterEqual(interval)',
      put: 'good.greaterEqual(0)',
      tests: ['mixed-precision.backend.test.ts'],
    },
    {
      breaks: 'the loss scale stays after an overflow',
      file: 'precision/loss-scale.ts',
      find: 'scale.mul(backoff)',
      put: 'scale',
      tests: ['mixed-precision.backend.test.ts'],
    },
  ],
);

const plain = faultsOf(
  ['unit'],
  [
    {
      breaks: 'gradients are clipped to a norm of 1, whatever norm was asked for',
      file: 'optimizers/clip.ts',
      find: 'div(maxNorm, norm.add(1e-6))',
      put: 'div(1, norm.add(1e-6))',
      tests: ['optimizers/clip.test.ts'],
    },
    {
      breaks: 'the norm is the sum of squares',
      file: 'optimizers/clip.ts',
      find: '.reduce((a, b) => a.add(b)).sqrt()',
      put: '.reduce((a, b) => a.add(b))',
      tests: ['optimizers/clip.test.ts'],
    },
    {
      breaks: 'small gradients are scaled up',
      file: 'optimizers/clip.ts',
      find: '.minimum(1)',
      put: '',
      tests: ['optimizers/clip.test.ts'],
    },
    {
      breaks: 'a warm-up starts at 0',
      file: 'schedules/decay.ts',
      find: '(peak * (step + 1)) / warmupSteps',
      put: '(peak * step) / warmupSteps',
      tests: ['schedules/schedule.test.ts'],
    },
    {
      breaks: 'a cosine falls to half of the way',
      file: 'schedules/decay.ts',
      find: 'Math.cos(Math.PI * share)',
      put: 'Math.cos((Math.PI * share) / 2)',
      tests: ['schedules/schedule.test.ts'],
    },
    {
      breaks: 'the schedule behind a warm-up starts late',
      file: 'schedules/warm-up.ts',
      find: 'then(step - steps)',
      put: 'then(step)',
      tests: ['schedules/schedule.test.ts'],
    },
    {
      breaks: 'a plateau is one step short',
      file: 'schedules/wsd.ts',
      find: 'if (step < start) return peak;',
      put: 'if (step < start - 1) return peak;',
      tests: ['schedules/schedule.test.ts'],
    },
    {
      breaks: 'groups of parameters get each other’s scalars',
      file: 'optimizers/split-scalars.ts',
      find: '    start = end;\n',
      put: '',
      tests: ['parameter-groups.test.ts'],
    },
    {
      breaks: 'updated parameters of groups come back in the order of the groups',
      file: 'optimizers/parameter-groups.ts',
      find: 'taken[group]!++',
      put: 'taken[group]!',
      tests: ['parameter-groups.test.ts'],
    },
    {
      breaks: 'batches that are gathered for one step lose their last',
      file: 'loop/batches.ts',
      find: 'while (taken.length < count) {',
      put: 'while (taken.length < count - 1) {',
      tests: ['loop/train.test.ts', 'loop/train-types.test.ts'],
    },
  ],
);

export const trainerFaults: readonly Fault[] = [...recorded, ...plain];
