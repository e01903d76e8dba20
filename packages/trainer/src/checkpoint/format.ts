import { TrainingError } from '../errors.ts';
import type { Progress } from '../step/train-step.ts';

/** What JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A file of a checkpoint. */
export interface FileRecord {
  readonly byteLength: number;
  /** SHA-256, hexadecimal. */
  readonly sha256: string;
}

/** `checkpoint.json`: what a checkpoint is beside its tensors. */
export interface CheckpointRecord {
  readonly format: 'heddle-training';
  readonly version: 1;
  readonly progress: Progress;
  /** What checkpoints are compared by: the smaller the better. */
  readonly metric?: number;
  /** Where the data stands, as it says itself. */
  readonly data?: Json;
  /** Whatever else the program keeps: a generator's state, its options. */
  readonly extra?: Json;
  readonly files: Readonly<Record<string, FileRecord>>;
}

/** Names of the files: the record, the weights, and what belongs to the run. */
export const recordFile = 'checkpoint.json';
export const modelFile = 'model.safetensors';
export const stateFile = 'state.safetensors';

/** @throws TrainingError `ERR_CHECKPOINT` for text that is no such record */
export function parseRecord(label: string, text: string): CheckpointRecord {
  const damaged = (what: string) => new TrainingError('ERR_CHECKPOINT', `checkpoint: ${label} is damaged: ${what}`);
  let value: Partial<CheckpointRecord>;
  try {
    value = JSON.parse(text) as Partial<CheckpointRecord>;
  } catch (cause) {
    throw damaged(cause instanceof Error ? cause.message : 'no JSON');
  }
  if (typeof value !== 'object' || value === null || value.format !== 'heddle-training')
    throw damaged('it is no record of a training checkpoint');
  if (value.version !== 1)
    throw new TrainingError(
      'ERR_CHECKPOINT',
      `checkpoint: ${label} has version ${value.version}, this reads version 1`,
    );
  const { progress, files, metric } = value;
  const count = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0;
  if (!progress || !count(progress.steps) || !count(progress.applied) || progress.applied > progress.steps)
    throw damaged('it does not say where the run stood');
  if (metric !== undefined && typeof metric !== 'number') throw damaged('its metric is no number');
  for (const name of [modelFile, stateFile]) {
    const file = files?.[name];
    if (!file || !count(file.byteLength) || typeof file.sha256 !== 'string')
      throw damaged(`it does not describe ${name}`);
  }
  return value as CheckpointRecord;
}
