/**
 * `@heddle/trainer/checkpoint`: training runs on disk, saved as a whole or not at all, and gone on with bit by bit.
 */
export {
  type Checkpoint,
  type Checkpoints,
  type CheckpointsOptions,
  openCheckpoints,
  type SavedStep,
  type SaveOptions,
} from './checkpoint/checkpoints.ts';
export type { Json } from './checkpoint/format.ts';
