import type { Tensor } from '../../../graph/tensor.ts';
import { registerType } from './buffer-form.ts';
import { elementFunction } from './element-function.ts';
import type { BufferOf, KernelBuilder } from './kernel-builder.ts';
import { coordinateOf, Place } from './place.ts';

/** What is computed from each value of a kernel before it is stored: `root` from `source` at the same place. */
export interface Epilogue {
  readonly source: Tensor;
  readonly root: Tensor;
  /** Another tensor of which the kernel has the value at the same place. */
  readonly also?: Tensor | undefined;
}

/**
 * The function `epilogue(i, v)`: the value of the root at position `i`, where `v` is that of the source; with another tensor
 * `epilogue(i, v, also)`.
 */
export function epilogueFunction(
  { source, root, also }: Epilogue,
  type: string,
  builder: KernelBuilder,
  bufferOf: BufferOf,
): string {
  return elementFunction({
    name: 'epilogue',
    builder,
    bufferOf,
    roots: [root],
    parameters: ['i: u32', `v: ${type}`, ...(also ? [`also: ${registerType[also.dtype]}`] : [])],
    prologue: [],
    place: (writer) =>
      new Place('i', root.shape, writer, {
        linear: () => 'i',
        coordinate: (axis) => writer.let(coordinateOf('i', axis, root.shape, writer)),
      }),
    fours: false,
    registers: new Map([[source, 'v'], ...(also ? [[also, 'also'] as const] : [])]),
  }).text;
}
