import { ArgumentError, type Tensor } from '@heddle/tensor';
import type { AttendSpec } from '../kernels/attention-kernel.ts';
import type { KvView } from '../kernels/kv-view.ts';
import { type PackedAttributes, type PackedInput, packedInputs } from './attributes.ts';

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
  const { segments, positions, sinks, scale, window, keepFirst, softcap } = spec;
  for (const [name, value] of Object.entries({ window, keepFirst, valueDim: spec.valueDim ?? kv?.valueDim }))
    if (value !== undefined && (!Number.isInteger(value) || value < 1))
      throw new ArgumentError(`attend: ${name} must be a positive integer, got ${value}`);
  if (softcap !== undefined && !(softcap > 0))
    throw new ArgumentError(`attend: softcap must be a positive number, got ${softcap}`);
  const given: Partial<Record<PackedInput, Tensor | undefined>> = {
    ...{ q, k, v, segments, positions, sinks },
    ...(kv
      ? {
          keys: kv.keys,
          values: kv.values,
          table: kv.blockTable,
          lengths: kv.lengths,
          keyScales: kv.quantized?.keyScales,
          valueScales: kv.quantized?.valueScales,
          starts: kv.starts,
          keyPositions: kv.keyPositions,
        }
      : {}),
  };
  const names = packedInputs.filter((name) => given[name] !== undefined);
  const dim = Number(q.shape.at(-1));
  const attributes: PackedAttributes = {
    inputs: names,
    scale: scale ?? 1 / Math.sqrt(dim),
    ...(window === undefined ? {} : { window }),
    ...(window === undefined || keepFirst === undefined ? {} : { keepFirst }),
    ...(softcap === undefined ? {} : { softcap }),
    valueDim: v ? Number(v.shape.at(-1)) : (spec.valueDim ?? kv?.valueDim ?? dim),
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
  return { inputs: names.map((name) => given[name]!), attributes };
}
