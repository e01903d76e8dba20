import { acrossFaults } from './across.ts';
import { attentionFaults } from './attention.ts';
import { batcherFaults } from './batcher.ts';
import type { Fault } from './fault.ts';
import { modelFaults } from './models.ts';
import { quietFaults } from './quiet.ts';
import { servingFaults } from './serving.ts';
import { tensorFaults } from './tensor.ts';
import { trainerFaults } from './trainer.ts';

/** Every fault that is planted. */
export const faults: readonly Fault[] = [
  ...tensorFaults,
  ...attentionFaults,
  ...servingFaults,
  ...modelFaults,
  ...batcherFaults,
  ...trainerFaults,
  ...acrossFaults,
  ...quietFaults,
];
