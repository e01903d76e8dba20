import type { Dim } from '../../dim.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { KernelBody } from '../../graph/webgpu-lowering.ts';
import type { TensorType } from '../../shape.ts';
import type { KernelEntry, SourceSpec } from './codegen/kernel-source.ts';
import type { GivenNames } from './codegen/names.ts';

/** A value of a program that has a buffer of its own. */
export type BufferValue = {
  readonly type: TensorType;
} & (
  | { readonly kind: 'input'; readonly index: number }
  | { readonly kind: 'constant' | 'variable'; readonly tensor: Tensor }
  | { readonly kind: 'temporary'; readonly name: string }
  | { readonly kind: 'output'; readonly index: number }
);

/** What a dispatch has to do at the least, for reports. */
export interface Work {
  /** Arithmetic operations; undefined where nobody says. */
  readonly flops: Dim | undefined;
  /** Bytes that it reads and writes. */
  bytes(size: (dim: Dim) => number): number;
}

/** A buffer that a dispatch binds. */
interface StepBinding {
  readonly value: BufferValue;
  readonly access: 'read' | 'write';
  /** Where a buffer is larger than one binding may be: the bytes of it that this one has, of several that follow each other. */
  readonly part?: { readonly offset: number; readonly size: number };
}

/** A kernel that can become a part of another one. */
export interface ShareableKernel extends SourceSpec {
  readonly entry: KernelEntry;
  /** Its text once more, with other names. */
  write(names: GivenNames): KernelBody;
}

/** One dispatch of a plan, with everything that is the same in every run. */
export interface Step {
  readonly label: string;
  /** The whole WGSL text; its entry point is `main`. */
  readonly source: string;
  /** What `source` is made of, where the kernel ignores workgroups beyond its own, so that it may share a dispatch. */
  readonly shareable?: ShareableKernel;
  /** In the order of their bindings. A buffer that is written may be read too. */
  readonly bindings: readonly StepBinding[];
  /** Values of the parameter block. */
  readonly parameters: readonly Dim[];
  workgroups(size: (dim: Dim) => number): readonly [number, number, number];
  /** Where it is not known, the dispatch is taken to move all of its buffers once. */
  readonly work?: Work;
}
