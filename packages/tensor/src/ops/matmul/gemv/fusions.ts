import type { KernelContext } from '../../../graph/webgpu-lowering.ts';
import type { MatmulAttributes } from '../attributes.ts';
import type { MatmulSpec } from '../spec.ts';
import { type TwinProduct, twinOf } from './gated-pair.ts';
import { type NormInFront, normInFront } from './rms-norm-prologue.ts';

/** What a kernel of one row computes beside its product. */
export interface OneRow {
  readonly norm: NormInFront | undefined;
  readonly twin: TwinProduct | undefined;
}

/** Undefined where the kernel of one row for this product computes nothing else: it goes along the depth by fours. */
export function oneRow(context: KernelContext<MatmulAttributes>, spec: MatmulSpec): OneRow | undefined {
  const { a, b } = spec;
  if (!(a.depthIsInner && a.fours && b.depthIsInner && b.fours)) return undefined;
  return { norm: normInFront(context, spec), twin: twinOf(context, spec) };
}

/** The label of such a kernel. */
export const labelOfRow = (name: string, { norm, twin }: Partial<OneRow>): string =>
  `${norm ? 'rmsNorm+' : ''}${name}${twin ? '.twin' : ''}`;
