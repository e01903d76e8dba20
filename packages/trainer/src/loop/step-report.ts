import type { MemoryReport } from '@heddle/tensor';
import { checkArguments } from '@heddle/tensor';
import { type Batch, valueCount } from '../model/batch.ts';
import type { EvaluationResult } from '../step/evaluation.ts';
import type { StepResult } from '../step/train-step.ts';

/** Where the time of a step went, in seconds. */
export interface PhaseSeconds {
  /** Waiting for batches. */
  data: number;
  /** Until the device had the work: the first step of a shape compiles here. */
  submit: number;
  /** From there, or from the end of the step before if that came later, to the result. */
  device: number;
  evaluation: number;
  saving: number;
  /** From the submission, or the end of the step before if that came later, to the result. */
  step: number;
}

/** Bytes of a device at the end of a step. */
export interface StepMemory {
  readonly live: number;
  /** The most that the device has held. */
  readonly peak: number;
  /** Live bytes by what they are for: 'variables', 'optimizer', 'gradients', plans. */
  readonly owners: Readonly<Record<string, number>>;
  /** Bytes of activations in host memory between forward and backward pass, with `offload.activations`. */
  readonly hostActivations?: number;
}

/** What happened in one step. */
export interface StepReport extends StepResult {
  /** Tokens of the step; undefined where nothing says what a token is. */
  readonly tokens: number | undefined;
  /** From the end of the step before, or from its own submission if that came later, to its end; the first compiles too. */
  readonly seconds: number;
  readonly tokensPerSecond: number | undefined;
  /** The part of the device's operations that the model's are; undefined without `flops`. */
  readonly utilization: number | undefined;
  readonly phases: Readonly<PhaseSeconds>;
  readonly memory: StepMemory;
  /** Of the weights after the step, where one was due. */
  readonly evaluation?: EvaluationResult;
  /** Whether the run ends here, because it no longer improves. */
  readonly stopped?: boolean;
}

interface ReportParts extends Pick<StepReport, 'tokens' | 'phases' | 'evaluation' | 'stopped'> {
  readonly flops: { readonly perToken: number; readonly perSecond: number } | undefined;
  readonly memory: MemoryReport;
  readonly hostBytes: number;
}

export function reportOf(
  result: StepResult,
  { phases, tokens, flops, memory, hostBytes, ...rest }: ReportParts,
): StepReport {
  const seconds = phases.step;
  const tokensPerSecond = tokens === undefined ? undefined : tokens / seconds;
  const { live, peak, owners } = memory;
  return {
    ...result,
    tokens,
    seconds,
    tokensPerSecond,
    utilization:
      flops && tokensPerSecond !== undefined ? (tokensPerSecond * flops.perToken) / flops.perSecond : undefined,
    phases,
    memory: {
      live,
      peak,
      owners: Object.fromEntries(owners.map(({ owner, bytes }) => [owner, bytes])),
      ...(hostBytes > 0 && { hostActivations: hostBytes }),
    },
    ...rest,
  };
}

/** Tokens of the batches of a step, where something says what a token is. */
export function tokensOf(batches: readonly Batch[], count: ((batch: Batch) => number) | undefined): number | undefined {
  let sum = 0;
  for (const batch of batches) {
    const { tokens } = batch;
    if (!count && tokens === undefined) return undefined;
    sum += count ? count(batch) : valueCount(tokens!);
  }
  return sum;
}

/** @throws ArgumentError naming `operation` for what is no report */
export function checkReport(operation: string, report: StepReport): void {
  checkArguments(operation, 'object', { report });
  const { step, loss, learningRate, gradientNorm, seconds, memory } = report;
  if (typeof loss !== 'number') checkArguments(operation, 'number', { 'report.loss': loss }); // NaN is one, too
  checkArguments(operation, 'number', {
    'report.step': step,
    'report.learningRate': learningRate,
    'report.seconds': seconds,
  });
  if (typeof gradientNorm !== 'number') checkArguments(operation, 'number', { 'report.gradientNorm': gradientNorm });
  checkArguments(operation, 'object', { 'report.memory': memory });
}
