import { ArgumentError, type Tensor } from '@heddle/tensor';
import type { AttendSpec } from '../kernels/attention-kernel.ts';
import type { KvView } from '../kernels/kv-view.ts';
import { type PackedAttributes, type PackedInput, packedInputs, scoreNumbers } from './attributes.ts';

/** A packed attention to be recorded. */
export interface PackedCall {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor | undefined;
  readonly kv: KvView | undefined;
  readonly spec: AttendSpec;
  readonly lse?: boolean;
  readonly layout?: PackedAttributes['layout'];
}

/** Inputs and attributes of a packed attention. @throws ArgumentError for numbers out of range */
export function packedArguments({ q, k, v, kv, spec, lse = false, layout = 'auto' }: PackedCall): {
  readonly inputs: readonly Tensor[];
  readonly attributes: PackedAttributes;
} {
  const call: PackedCall = { q, k, v, kv, spec };
  const names = (Object.keys(packedInputs) as PackedInput[]).filter((name) => packedInputs[name](call) !== undefined);
  const dim = Number(q.shape.at(-1));
  const valueDim = spec.valueDim ?? kv?.valueDim;
  if (valueDim !== undefined) checkNumber('valueDim', valueDim, 'a positive integer');
  const attributes: PackedAttributes = {
    inputs: names,
    scale: spec.scale ?? 1 / Math.sqrt(dim),
    ...numbersOf(spec),
    valueDim: v ? Number(v.shape.at(-1)) : (valueDim ?? dim),
    ...(kv
      ? {
          cache: {
            blockSize: kv.blockSize,
            maxLength: kv.maxLength,
            ...(kv.quantized ? { bits: kv.quantized.bits } : {}),
          },
        }
      : {}),
    lse,
    layout,
  };
  return { inputs: names.map((name) => packedInputs[name](call)!), attributes };
}

type ScoreNumber = keyof typeof scoreNumbers;

/** The numbers of a score that are given. @throws ArgumentError */
function numbersOf(spec: AttendSpec): Partial<Record<ScoreNumber, number>> {
  const given: Partial<Record<ScoreNumber, number>> = {};
  for (const name of Object.keys(scoreNumbers) as ScoreNumber[]) {
    const value = spec[name];
    if (value === undefined) continue;
    checkNumber(name, value, scoreNumbers[name]);
    given[name] = value;
  }
  if (given.keepFirst !== undefined && given.window === undefined)
    throw new ArgumentError(
      `attend: keepFirst needs a window, in spite of which first keys are seen, got ${given.keepFirst} without one`,
    );
  return given;
}

/** @throws ArgumentError where a number is not what it must be */
function checkNumber(name: string, value: number, rule: (typeof scoreNumbers)[ScoreNumber]): void {
  if (value > 0 && (rule === 'a positive number' || Number.isInteger(value))) return;
  throw new ArgumentError(`attend: ${name} must be ${rule}, got ${value}`);
}
