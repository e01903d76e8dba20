import type { Tensor } from '../../../graph/tensor.ts';
import { elementFunction } from './element-function.ts';
import type { BufferOf, KernelBuilder } from './kernel-builder.ts';
import { coordinateOf, Place } from './place.ts';

/** What is computed from each value of a kernel before it is stored: `root` from `source` at the same place. */
export interface Epilogue {
  readonly source: Tensor;
  readonly root: Tensor;
}

/** The function `epilogue(i, v)`: the value of the root at position `i`, where `v` is that of the source. */
export function epilogueFunction(
  { source, root }: Epilogue,
  type: string,
  builder: KernelBuilder,
  bufferOf: BufferOf,
): string {
  return elementFunction({
    name: 'epilogue',
    builder,
    bufferOf,
    roots: [root],
    parameters: ['i: u32', `v: ${type}`],
    prologue: [],
    place: (writer) =>
      new Place('i', root.shape, writer, {
        linear: () => 'i',
        coordinate: (axis) => writer.let(coordinateOf('i', axis, root.shape, writer)),
      }),
    fours: false,
    register: { tensor: source, name: 'v' },
  }).text;
}
