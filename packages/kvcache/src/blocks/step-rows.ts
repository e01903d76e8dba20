import type { KvBatchRows } from '../kv-cache.ts';
import type { BlockSequence } from './block-sequence.ts';

/** What a step has of each of its sequences, by their order in it. */
export interface StepRows {
  readonly sequences: readonly BlockSequence[];
  /** Rows of each. */
  readonly tokens: readonly number[];
  /** Which of their states are to be kept; undefined where none of them says. */
  readonly keep: readonly KvBatchRows['keep'][] | undefined;
}
