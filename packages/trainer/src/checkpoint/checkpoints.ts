import { ArgumentError, checkArguments, checkOptions, isHeddleError, type Variable } from '@heddle/tensor';
import { openSafetensors, type SafetensorsSource, safetensorsChunks } from '@heddle/tensor/safetensors';
import { TrainingError } from '../errors.ts';
import { type FileSystem, nodeFileSystem, reasonOf } from '../files/node.ts';
import type { Progress, TrainStep } from '../step/train-step.ts';
import { type CheckpointRecord, type Json, modelFile, parseRecord, recordFile, stateFile } from './format.ts';
import { checkVariables, readVariables, sourceOf } from './tensors.ts';
import { recordOf, syncFolder, writeSynced } from './write.ts';

/** What of a training step is saved: all that its next steps depend on. */
export type SavedStep = Pick<TrainStep<never>, 'parameters' | 'state' | 'progress' | 'resume'>;

export interface CheckpointsOptions {
  /** The latest checkpoints that are kept; 3 where not named. */
  readonly keepLast?: number;
  /** The checkpoints of the smallest metrics that are kept beside them; 1 where not named. */
  readonly keepBest?: number;
}

/** What is saved beside the weights and the state. */
export interface SaveOptions {
  /** What checkpoints are compared by: a validation loss, for example. The smaller the better. */
  readonly metric?: number;
  /** Where the data stands: the cursor of a stream. */
  readonly data?: Json;
  /** Whatever else the program needs to go on: the state of a generator, its options. */
  readonly extra?: Json;
}

/** A checkpoint on disk. */
export interface Checkpoint extends Pick<CheckpointRecord, 'progress' | 'metric' | 'data' | 'extra'> {
  /** Its folder. `model.safetensors` in it has the weights by the names of the parameters. */
  readonly path: string;
}

/** Checkpoints of a run in a folder, one folder each. */
export interface Checkpoints {
  /**
   * Writes a checkpoint of where the step stands, after all that was submitted. It appears as a whole or not at all: its bytes
   * are on the disk before it gets its name. Older ones that are neither among the last nor the best are removed then.
   * @throws TrainingError `ERR_CHECKPOINT` (a full disk, for example); what was there before is there still
   */
  save(step: SavedStep, options?: SaveOptions): Promise<Checkpoint>;
  /** Those that are there, the oldest first. What a killed program left half-written is not among them. */
  list(): Promise<readonly Checkpoint[]>;
  latest(): Promise<Checkpoint | undefined>;
  /** That of the smallest metric. */
  best(): Promise<Checkpoint | undefined>;
  /**
   * Gives a step of the same model and optimizer what was saved: its next steps are then those of the run that was saved, bit
   * by bit on the same device. Everything is checked before anything is changed.
   * @throws TrainingError `ERR_CHECKPOINT` for what is damaged, or of another model or optimizer
   */
  restore(checkpoint: Checkpoint, step: SavedStep): Promise<void>;
}

const namePattern = /^step-(\d{8,})$/;

/**
 * Checkpoints in the folder `path`, which is made when the first is saved.
 * @throws ArgumentError for numbers to keep that are no whole numbers, or keep nothing
 */
export function openCheckpoints(path: string, options: CheckpointsOptions = {}): Checkpoints {
  checkArguments('openCheckpoints', 'text', { path });
  checkOptions('openCheckpoints', options, { keepLast: 'number?', keepBest: 'number?' });
  return checkpointsOn(nodeFileSystem('ERR_CHECKPOINT'), path, options);
}

/** `openCheckpoints` on a file system of one's own. */
export function checkpointsOn(files: FileSystem, path: string, options: CheckpointsOptions): Checkpoints {
  const { keepLast = 3, keepBest = 1 } = options;
  if (typeof path !== 'string' || path === '') throw new ArgumentError('openCheckpoints: takes the path of a folder');
  for (const [name, count] of Object.entries({ keepLast, keepBest }))
    if (!Number.isSafeInteger(count) || count < 0)
      throw new ArgumentError(`openCheckpoints: ${name} must be a whole number from 0, got ${count}`);
  if (keepLast === 0) throw new ArgumentError('openCheckpoints: keepLast must be at least 1');

  const list = async (): Promise<readonly Checkpoint[]> => {
    const found: Checkpoint[] = [];
    for (const name of await folderNames(files, path)) {
      if (!namePattern.test(name)) continue;
      const record = await readRecord(files, `${path}/${name}`);
      const { progress, metric, data, extra } = record;
      found.push({
        path: `${path}/${name}`,
        progress,
        ...(metric !== undefined && { metric }),
        ...(data !== undefined && { data }),
        ...(extra !== undefined && { extra }),
      });
    }
    return found.sort((a, b) => a.progress.steps - b.progress.steps);
  };
  const best = (all: readonly Checkpoint[]) =>
    all.filter(({ metric }) => metric !== undefined).sort((a, b) => a.metric! - b.metric!);
  const prune = async (): Promise<void> => {
    const all = await list();
    const kept = new Set([...all.slice(-keepLast), ...best(all).slice(0, keepBest)]);
    for (const checkpoint of all) if (!kept.has(checkpoint)) await removeFolder(files, path, checkpoint.path);
  };

  return {
    list: () => guarded('list', list),
    latest: () => guarded('latest', async () => (await list()).at(-1)),
    best: () => guarded('best', async () => best(await list())[0]),
    save: (step, saveOptions = {}) =>
      guarded('save', async () => {
        checkStep('save', step);
        checkOptions('save', saveOptions, { metric: 'number?', data: 'anything', extra: 'anything' });
        const progress = await step.progress();
        await files.mkdir(path, { recursive: true });
        await removeLeftovers(files, path);
        const target = `${path}/step-${String(progress.steps).padStart(8, '0')}`;
        const partial = `${target}.partial`;
        try {
          await writeCheckpoint(files, partial, step, progress, saveOptions);
        } catch (error) {
          await files.rm(partial, { recursive: true, force: true }).catch(() => {}); // the first failure is the one to tell
          throw error;
        }
        await moveInto(files, path, partial, target);
        await prune();
        return { path: target, progress, ...saveOptions };
      }),
    restore: (checkpoint, step) => guarded('restore', () => restoreFrom(files, checkpoint.path, step)),
  };
}

async function writeCheckpoint(
  files: FileSystem,
  path: string,
  step: SavedStep,
  progress: Progress,
  options: SaveOptions,
): Promise<void> {
  await files.mkdir(path, { recursive: true });
  const sources = (variables: ReadonlyMap<string, Variable>) =>
    [...variables].map(([name, variable]): [string, SafetensorsSource] => [name, sourceOf(name, variable)]);
  const metadata = { format: 'pt' };
  const record: CheckpointRecord = {
    format: 'heddle-training',
    version: 1,
    progress,
    ...options,
    files: {
      [modelFile]: await writeSynced(files, `${path}/${modelFile}`, safetensorsChunks(sources(byName(step)), metadata)),
      [stateFile]: await writeSynced(files, `${path}/${stateFile}`, safetensorsChunks(sources(step.state), metadata)),
    },
  };
  const text = new TextEncoder().encode(`${JSON.stringify(record, null, 2)}\n`);
  await writeSynced(files, `${path}/${recordFile}`, [text]);
  await syncFolder(files, path);
}

async function restoreFrom(files: FileSystem, path: string, step: SavedStep): Promise<void> {
  const record = await readRecord(files, path);
  for (const [name, expected] of Object.entries(record.files)) {
    const found = await recordOf(files, `${path}/${name}`);
    if (found.byteLength !== expected.byteLength || found.sha256 !== expected.sha256)
      throw new TrainingError(
        'ERR_CHECKPOINT',
        `checkpoint: ${path}/${name} is damaged: it has ${found.byteLength} bytes and another SHA-256 than when it was written`,
      );
  }
  const [model, state] = [await openSafetensors(`${path}/${modelFile}`), await openSafetensors(`${path}/${stateFile}`)];
  try {
    const parameters = byName(step);
    checkVariables(`${path}/${modelFile}`, model, parameters);
    checkVariables(`${path}/${stateFile}`, state, step.state);
    await step.progress(); // what was submitted before is done
    await readVariables(model, parameters);
    await readVariables(state, step.state);
    await step.resume(record.progress);
  } finally {
    await model.close();
    await state.close();
  }
}

function byName({ parameters }: SavedStep): ReadonlyMap<string, Variable> {
  const found = new Map<string, Variable>();
  for (const { name, value } of parameters) {
    if (found.has(name))
      throw new TrainingError(
        'ERR_CHECKPOINT',
        `checkpoint: two parameters are called '${name}'; give variables names`,
      );
    found.set(name, value);
  }
  return found;
}

async function readRecord(files: FileSystem, path: string): Promise<CheckpointRecord> {
  const bytes = await files.readFile(`${path}/${recordFile}`);
  return parseRecord(`${path}/${recordFile}`, new TextDecoder().decode(bytes));
}

async function folderNames(files: FileSystem, path: string): Promise<string[]> {
  const entries = await files.readdir(path, { withFileTypes: true }).catch((cause: unknown) => {
    if ((cause as { readonly code?: unknown }).code === 'ENOENT') return [];
    throw cause;
  });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

/** Gives a finished checkpoint its name, in place of an older one of the same step. */
async function moveInto(files: FileSystem, folder: string, partial: string, target: string): Promise<void> {
  const replaced = `${target}.replaced`;
  const there = (await folderNames(files, folder)).some((name) => target === `${folder}/${name}`);
  if (there) await files.rename(target, replaced);
  await files.rename(partial, target);
  await syncFolder(files, folder);
  if (there) await files.rm(replaced, { recursive: true, force: true });
}

async function removeFolder(files: FileSystem, folder: string, path: string): Promise<void> {
  await files.rename(path, `${path}.removed`); // at once it is none: half of one is never seen
  await syncFolder(files, folder);
  await files.rm(`${path}.removed`, { recursive: true, force: true });
}

/** What a program that was killed left behind. A checkpoint that was about to be replaced gets its name back. */
async function removeLeftovers(files: FileSystem, folder: string): Promise<void> {
  const names = await folderNames(files, folder);
  for (const name of names) {
    const [base, ending] = name.split(/\.(?=[a-z]+$)/) as [string, string | undefined];
    if (!namePattern.test(base) || ending === undefined) continue;
    if (ending === 'replaced' && !names.includes(base)) await files.rename(`${folder}/${name}`, `${folder}/${base}`);
    else if (['partial', 'removed', 'replaced'].includes(ending))
      await files.rm(`${folder}/${name}`, { recursive: true, force: true });
  }
}

/** Errors of files as errors of checkpoints. */
async function guarded<T>(operation: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    if (isHeddleError(cause) && !cause.code.startsWith('ERR_FILE') && !cause.code.startsWith('ERR_SAFETENSORS'))
      throw cause;
    throw new TrainingError('ERR_CHECKPOINT', `checkpoint: ${operation}: ${reasonOf(cause)}`, undefined, { cause });
  }
}

/** @throws ArgumentError naming `operation` for what cannot be saved */
function checkStep(operation: string, step: SavedStep): void {
  if (typeof step !== 'function') checkArguments(operation, 'object', { step }); // a train step is a function
  checkArguments(operation, 'function', { 'step.progress': step.progress, 'step.resume': step.resume });
  checkArguments(operation, 'object', { 'step.state': step.state });
  checkArguments(operation, 'list', { 'step.parameters': step.parameters });
}
