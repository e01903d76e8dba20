import {
  calledAs,
  checkArguments,
  checkOptions,
  type Device,
  linear,
  mapTree,
  type OptionKinds,
  rmsNorm,
  type Tensor,
  type Variable,
} from '@heddle/tensor';
import { specKinds } from '../dense/arguments.ts';
import { attention } from '../dense/attention.ts';
import type { AttentionSpec } from '../dense/attention-spec.ts';
import { rotary } from '../rotary/rotary.ts';
import type { RotaryTable } from '../rotary/rotary-table.ts';
import {
  type AttentionConfig,
  type AttentionParameters,
  attentionSizes,
  checkAttentionParameters,
  checkParts,
  configKinds,
  drawKinds,
  drawParameters,
} from './attention-parameters.ts';

export interface AttentionModuleOptions extends AttentionConfig {
  /** Turns q and k by their positions. The table stays the caller's: layers share one. */
  readonly rotary?: { readonly table: RotaryTable; readonly interleaved?: boolean };
  /** How queries attend to keys: causal, unless it says `causal: false`. */
  readonly spec?: AttentionSpec;
}

/** What a module of attention takes. */
export interface AttentionInput {
  /** `[B, L, E]`, or rows `[T, E]` for a kernel over a cache (`attend`). */
  readonly x: Tensor;
  /** i32, the axes of x before E: for the rotary embedding. By default 0, 1, ... along the axis before E. */
  readonly positions?: Tensor;
}

/** What a call may replace. */
export interface AttentionCall {
  /** Beside the module's own spec. */
  readonly spec?: AttentionSpec;
  /** What the keys and values are made of, `[B, S, E]`: cross-attention. They are not rotated. */
  readonly context?: Tensor;
  /** Takes the place of `attention`: q `[..., H, D]`, k and v `[..., K, D]` to `[..., H, D]`. */
  readonly attend?: (q: Tensor, k: Tensor, v: Tensor) => Tensor;
}

/**
 * Projections around attention: multi-head, grouped-query and multi-query by the configuration's `attentionType`, with biases,
 * norms of q and k, rotary embedding and output gate where it has them.
 */
export interface AttentionModule<T extends Tensor = Variable> {
  readonly parameters: AttentionParameters<T>;
  /** Records the output, the shape and dtype of x. @throws ArgumentError, ShapeError, DTypeError */
  forward(input: AttentionInput, call?: AttentionCall): Tensor;
}

/**
 * An attention module around parameters that are there; they stay the caller's.
 * @throws ArgumentError, ShapeError for parameters that are not the configuration's
 */
export function attentionModule<T extends Tensor>(
  parameters: AttentionParameters<T>,
  options: AttentionModuleOptions,
): AttentionModule<T> {
  checkArguments('attentionModule', 'object', { parameters });
  // options of createAttentionModule may be passed on
  checkModule('attentionModule', options, { seed: 'anything', dtype: 'anything', name: 'anything' });
  return calledAs('attentionModule', () => moduleOf(parameters, options));
}

/** What a module is made with, for `checkOptions`. */
const moduleKinds = { ...configKinds, rotary: 'object?', spec: 'object?' } as const;

/** @throws ArgumentError naming `operation` */
function checkModule(operation: string, options: AttentionModuleOptions, more: OptionKinds = {}): void {
  checkOptions(operation, options, { ...moduleKinds, ...more });
  checkParts(operation, options);
  const { rotary: turns, spec } = options;
  if (spec) checkOptions(`${operation}: spec`, spec, specKinds);
  if (!turns) return;
  checkOptions(`${operation}: rotary`, turns, { table: 'object', interleaved: 'boolean?' });
  checkOptions(`${operation}: rotary: table`, turns.table, { cos: 'tensor', sin: 'tensor' });
}

function moduleOf<T extends Tensor>(
  parameters: AttentionParameters<T>,
  options: AttentionModuleOptions,
): AttentionModule<T> {
  checkAttentionParameters(parameters, options);
  const { H, K, D } = attentionSizes(options);
  const { rotary: turns, qkNorm } = options;
  const ownSpec: AttentionSpec = { ...options.spec, causal: options.spec?.causal ?? true };
  const epsilon = typeof qkNorm === 'object' ? qkNorm.epsilon : 1e-6;
  const { query, key, value, output, gate, queryNorm, keyNorm } = parameters;
  const heads = (x: Tensor, { weight, bias }: { weight: Tensor; bias?: Tensor }, count: number) =>
    linear(x, weight, bias).reshape([...x.shape.slice(0, -1), count, D]);
  return {
    parameters,
    forward: (input, call = {}) => {
      checkOptions('forward', input, { x: 'tensor', positions: 'tensor?' });
      checkOptions('forward', call, { spec: 'object?', context: 'tensor?', attend: 'function?' });
      if (call.spec) checkOptions('forward: spec', call.spec, specKinds);
      return calledAs('forward', () => forward(input, call));
    },
  };

  function forward({ x, positions }: AttentionInput, { spec, context, attend }: AttentionCall): Tensor {
    const rows = x.shape.slice(0, -1);
    const from = context ?? x;
    const normed = (projected: Tensor, norm: { readonly weight: T } | undefined) =>
      norm ? rmsNorm(projected, norm.weight, epsilon) : projected;
    const places = positions ?? x.device.arange(rows.at(-1)!).expand(rows);
    const turned = (projected: Tensor) =>
      turns && !context
        ? rotary(projected, places, turns.table, { interleaved: turns.interleaved ?? false })
        : projected;
    const q = turned(normed(heads(x, query, H), queryNorm));
    const k = turned(normed(heads(from, key, K), keyNorm));
    const v = heads(from, value, K);
    const mixed = (
      attend ? attend(q, k, v) : attention(q, k, v, { ...ownSpec, ...spec, causal: spec?.causal ?? ownSpec.causal! })
    ).reshape([...rows, H * D]);
    const gated = gate ? mixed.mul(linear(x, gate.weight, gate.bias).sigmoid()) : mixed;
    return linear(gated, output.weight, output.bias);
  }
}

/** A module that owns its parameters. */
export interface OwningAttentionModule extends AttentionModule, Disposable {
  /** Frees the parameters. Idempotent. */
  dispose(): void;
}

/**
 * An attention module with new parameters (`createAttentionParameters`), for a trainer or a model of one's own.
 * @returns The caller's to dispose of.
 * @throws ArgumentError, OutOfMemoryError
 */
export async function createAttentionModule(
  device: Device,
  options: AttentionModuleOptions & { readonly seed: number; readonly dtype?: 'f32' | 'f16'; readonly name?: string },
): Promise<OwningAttentionModule> {
  checkArguments('createAttentionModule', 'device', { device });
  checkModule('createAttentionModule', options, drawKinds);
  const parameters = await calledAs('createAttentionModule', () => drawParameters(device, options, options));
  const module = moduleOf(parameters, options);
  const dispose = () => {
    mapTree(module.parameters, (parameter) => (parameter as Variable).dispose());
  };
  return { ...module, dispose, [Symbol.dispose]: dispose };
}
