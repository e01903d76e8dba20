import { writeFile } from 'node:fs/promises';
import type { Device } from '@heddle/tensor';
import { adamw, chain, clipByGlobalNorm, type StepReport, train, warmupCosineSchedule } from '@heddle/trainer';
import { htmlReport, openLog, progressLine } from '@heddle/trainer/report';
import { nextTokenLoss } from '../training/next-token-loss.ts';
import type { trainableLm } from '../training/trainable-lm.ts';
import type { TrainingCommand } from './options/training-options.ts';

/** What a command trains, and on what. */
export interface TrainingRun<B extends object> {
  readonly device: Device;
  readonly model: ReturnType<typeof trainableLm>;
  readonly data: AsyncIterable<B>;
  readonly heldOut?: () => AsyncIterable<B>;
  readonly steps: number;
}

/**
 * Trains, with a line on standard error that moves in a terminal and comes at every tenth part elsewhere. An interruption ends
 * it as its last step would.
 * @returns the reports of the steps that were taken
 */
export async function runTraining<B extends object>(
  command: TrainingCommand,
  { device, model, data, heldOut, steps }: TrainingRun<B>,
  signal: AbortSignal,
): Promise<readonly StepReport[]> {
  const size = [...trainedSizes(model.parameters as unknown)].reduce((a, b) => a + b, 0);
  process.stderr.write(`${device.name}: ${device.description}\n${size.toLocaleString('en')} parameters are trained\n`);
  const { learningRate: peak, weightDecay, checkpointing, accumulate } = command;
  const learningRate = warmupCosineSchedule({
    peak,
    warmupSteps: Math.min(100, Math.ceil(steps / 10)),
    totalSteps: steps,
    final: peak / 20,
  });
  const log = command.log === undefined ? undefined : await openLog(command.log);
  const found: StepReport[] = [];
  const reports = train({
    model: model as never,
    loss: nextTokenLoss as never,
    optimizer: chain(clipByGlobalNorm(1), adamw({ learningRate, betas: [0.9, 0.95], weightDecay })),
    data: data as never,
    steps,
    accumulate,
    checkpointing: checkpointing ? 'every' : 'none',
    signal,
    ...(heldOut && { evaluate: { every: Math.max(1, Math.floor(steps / 10)), data: heldOut as never } }),
  }) as AsyncIterable<StepReport>;
  try {
    for await (const report of reports) {
      found.push(report);
      await log?.write(report);
      show(report, steps);
    }
  } catch (error) {
    if (!signal.aborted || found.length === 0) throw error;
  } finally {
    await log?.close();
    if (process.stderr.isTTY && found.length > 0) process.stderr.write('\n');
  }
  if (command.report !== undefined)
    await writeFile(command.report, htmlReport([{ name: command.out, reports: found }], { title: command.out }));
  return found;
}

/** Says where the result is, as JSON with how it went where that was asked for. */
export function sayTrained({ out, json }: TrainingCommand, steps: number, reports: readonly StepReport[]): void {
  const held = reports.filter(({ evaluation }) => evaluation !== undefined).at(-1)?.evaluation;
  const seconds = reports.reduce((total, report) => total + report.seconds, 0);
  const told = { out, steps: reports.length, of: steps, loss: reports.at(-1)?.loss ?? null, seconds };
  process.stdout.write(json ? `${JSON.stringify({ ...told, held_out_loss: held?.loss ?? null })}\n` : `${out}\n`);
}

function show(report: StepReport, steps: number): void {
  const line = progressLine(report, { steps });
  if (process.stderr.isTTY) process.stderr.write(`\r${line}\u001b[K${report.evaluation ? '\n' : ''}`);
  else if ((report.step + 1) % Math.max(1, Math.floor(steps / 10)) === 0) process.stderr.write(`${line}\n`);
}

function* trainedSizes(parameters: unknown): Generator<number> {
  const all = parameters instanceof Map ? parameters.values() : (parameters as Iterable<unknown>);
  for (const { shape } of all as Iterable<{ readonly shape: readonly number[] }>)
    yield shape.reduce((a, b) => a * b, 1);
}
