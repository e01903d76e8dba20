import type { KernelContext } from '../../../graph/webgpu-lowering.ts';
import type { MatmulAttributes } from '../attributes.ts';
import type { MatmulSpec } from '../spec.ts';
import { type GatedProduct, gatedProduct } from './gated-pair.ts';
import { type RmsNormPrologue, rmsNormPrologue } from './rms-norm-prologue.ts';

/** What a GEMV computes beside its product. */
export interface GemvFusions {
  readonly norm: RmsNormPrologue | undefined;
  readonly gated: GatedProduct | undefined;
}

/** Undefined where the GEMV computes nothing else: only one that goes along K by vec4 does. */
export function gemvFusions(context: KernelContext<MatmulAttributes>, spec: MatmulSpec): GemvFusions | undefined {
  const { a, b } = spec;
  if (!(a.depthIsInner && a.fours && b.depthIsInner && b.fours)) return undefined;
  return { norm: rmsNormPrologue(context, spec), gated: gatedProduct(context, spec) };
}

/** The label of such a kernel. */
export const gemvLabel = (name: string, { norm, gated }: Partial<GemvFusions>): string =>
  `${norm ? 'rmsNorm+' : ''}${name}${gated ? '.gated' : ''}`;
