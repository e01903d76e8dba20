import { calledAs, checkArguments, checkOptions, formatShape, ShapeError, type Tensor } from '@heddle/tensor';
import { defaultChunk } from './gated-delta-rule.ts';
import { denseRecurrence } from './recurrence/dense.ts';
import { packedRecurrence } from './recurrence/packed.ts';
import { checkStateView, type StateView } from './state-view.ts';

/** What a scan takes beside its rows. */
export interface Mamba2Parameters {
  /** `[..., H]`: step sizes, positive (after softplus, bias and limits). */
  readonly dt: Tensor;
  /** `[H]`: the negative rates at which states decay, -exp(A_log). */
  readonly a: Tensor;
  /** `[..., G, N]`: what rows are stored under; G divides H, and H / G heads in a row share a group. */
  readonly b: Tensor;
  /** `[..., G, N]`: what states are asked for. */
  readonly c: Tensor;
  /** `[H]`: factor of the row itself that is added to the output. */
  readonly d?: Tensor | undefined;
}

/**
 * The scan of Mamba-2: each head has a state S `[N, P]`, and in each row
 * `S = exp(dt a) S + b (dt x); out = c S + d x`.
 *
 * @param x `[B, L, H, P]`, f32 or f16
 * @param options the parameters; `state` `[B, H, N, P]` before the first row, by default zeros; `chunk`: whole sequences of a length
 *   that is fixed are computed so many rows at a time, by default 64
 * @returns `out` in the shape and dtype of x and the `state` after the last row, f32; differentiable where B and L are fixed.
 *   Computed in f32: chunks agree with rows one by one to 1e-4.
 * @throws ShapeError, DTypeError, ArgumentError
 * Source: https://arxiv.org/abs/2405.21060
 */
export function mamba2Scan(
  x: Tensor,
  options: Mamba2Parameters & { readonly state?: Tensor | undefined; readonly chunk?: number },
): { readonly out: Tensor; readonly state: Tensor } {
  checkArguments('mamba2Scan', 'tensor', { x });
  checkOptions('mamba2Scan', options, { ...parameterKinds, state: 'tensor?', chunk: 'size?' });
  return calledAs('mamba2Scan', () => {
    const { state, chunk = defaultChunk } = options;
    const inputs = { ...prepared('mamba2Scan', x, options), state: state?.cast('f32') };
    const result = denseRecurrence(inputs, { rule: 'additive', chunk });
    return { out: withSkip(result.out, x, options), state: result.state };
  });
}

/**
 * The scan over packed rows of several sequences, x `[T, H, P]`, one row after the other: for steps over a cache. A row depends on
 * nothing but its own sequence, whatever others hold.
 *
 * @param options the parameters; `segments` i32 `[T]`: which of the B sequences a row belongs to, negative for none (rows of one
 *   sequence follow each other in order; those of none give d x); `states`: what a cache holds of them, by default nothing
 * @returns `out` `[T, H, P]` in the dtype of x; with `states` also the states after rows `at`, f32 `[W, H, N, P]`
 * @throws ShapeError, DTypeError
 */
export function packedMamba2Scan(
  x: Tensor,
  options: Mamba2Parameters & { readonly segments: Tensor; readonly states?: StateView | undefined },
): { readonly out: Tensor; readonly states: Tensor | undefined } {
  checkArguments('packedMamba2Scan', 'tensor', { x });
  checkOptions('packedMamba2Scan', options, { ...parameterKinds, segments: 'tensor', states: 'object?' });
  checkStateView('packedMamba2Scan', options.states);
  return calledAs('packedMamba2Scan', () => {
    const { segments, states } = options;
    const inputs = { ...prepared('packedMamba2Scan', x, options), segments, ...states };
    const result = packedRecurrence(inputs, { rule: 'additive', chunk: defaultChunk });
    return { out: withSkip(result.out, x, options), states: result.states };
  });
}

const parameterKinds = {
  dt: 'tensor',
  a: 'tensor',
  b: 'tensor',
  c: 'tensor',
  d: 'tensor?',
} as const satisfies Readonly<Record<keyof Mamba2Parameters, string>>;

function prepared(name: string, x: Tensor, { dt, a, b, c, d }: Mamba2Parameters) {
  const H = x.shape.at(-2)!;
  for (const [what, tensor] of Object.entries({ a, d }))
    if (tensor && String(tensor.shape) !== String([H]))
      throw new ShapeError(`${name}: ${what} must be [${H}], got ${formatShape(tensor.shape)}`);
  const front = x.shape.slice(0, -1);
  if (String(dt.shape) !== String(front))
    throw new ShapeError(`${name}: dt must be ${formatShape(front)}, got ${formatShape(dt.shape)}`);
  const steps = dt.cast('f32');
  return {
    q: c.cast('f32'),
    k: b.cast('f32'),
    v: x.cast('f32').mul(steps.reshape([...front, 1])),
    decay: steps.mul(a.cast('f32')),
  };
}

function withSkip(out: Tensor, x: Tensor, { d }: Mamba2Parameters): Tensor {
  return (d ? out.add(x.cast('f32').mul(d.cast('f32').reshape([d.shape[0]!, 1]))) : out).cast(x.dtype);
}
