import { acrossFaults } from './across.ts';
import { attentionFaults } from './attention.ts';
import { batcherFaults } from './batcher.ts';
import { batchingFaults } from './batches.ts';
import { cacheFaults } from './caches.ts';
import { edgeFaults } from './edges.ts';
import type { Fault } from './fault.ts';
import { modelFaults } from './models.ts';
import { planningFaults } from './planning.ts';
import { quietFaults } from './quiet.ts';
import { servingFaults } from './serving.ts';
import { tensorFaults } from './tensor.ts';
import { trainerFaults } from './trainer.ts';

/** Every fault that is planted. */
export const faults: readonly Fault[] = [
  ...tensorFaults,
  ...planningFaults,
  ...attentionFaults,
  ...cacheFaults,
  ...servingFaults,
  ...modelFaults,
  ...batcherFaults,
  ...batchingFaults,
  ...trainerFaults,
  ...acrossFaults,
  ...quietFaults,
  ...edgeFaults,
];
