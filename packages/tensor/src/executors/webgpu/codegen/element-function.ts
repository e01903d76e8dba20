import type { Tensor } from '../../../graph/tensor.ts';
import { registerType } from './buffer-form.ts';
import { ExpressionWriter } from './expression-writer.ts';
import type { BufferOf, KernelBuilder } from './kernel-builder.ts';
import type { Place } from './place.ts';

/** What a function of one value's position computes. */
export interface ElementSpec {
  readonly name: string;
  readonly builder: KernelBuilder;
  readonly bufferOf: BufferOf;
  readonly roots: readonly Tensor[];
  /** Its parameters, and statements in front that name the position of the roots `i`. */
  readonly parameters: readonly string[];
  readonly prologue: readonly string[];
  /** The place of the roots; its position is `i`. */
  place(writer: ExpressionWriter): Place;
  /** Whether buffers that are read at `i` come as arguments: the caller loads fours and passes one value after the other. */
  readonly fours: boolean;
  /** Tensors whose values at `i` are in registers, and how these are called. */
  readonly registers?: ReadonlyMap<Tensor, string>;
}

/** A WGSL function that computes the roots at one place. */
export interface ElementFunction {
  readonly text: string;
  /** Buffers whose values come as arguments behind the parameters. */
  readonly arguments: readonly string[];
  /** How a single root, or each of several, is named in a result `r`. */
  result(r: string, root: number): string;
}

export function elementFunction(spec: ElementSpec): ElementFunction {
  const { name, builder, bufferOf, roots, registers } = spec;
  const fours = new Map<string, string>();
  const writer: ExpressionWriter = new ExpressionWriter({
    dim: (dim) => builder.sizes.expression(dim),
    prelude: builder.names.prelude,
    read(tensor, place) {
      const register = registers?.get(tensor);
      if (register) return register;
      const value = bufferOf(tensor);
      if (!value) return undefined;
      const buffer = builder.reads(value);
      const position = place.linear();
      if (position !== 'i') builder.readElsewhere.add(value);
      if (position !== 'i' || !spec.fours) return `${builder.names.at[buffer]}(${position})`;
      builder.vectorize(value);
      fours.set(buffer, `v_${buffer}: ${registerType[tensor.dtype]}`);
      return `v_${buffer}`;
    },
  });
  const place = spec.place(writer);
  const values = roots.map((root) => writer.value(root, place));
  const types = roots.map((root) => registerType[root.dtype]);
  const single = roots.length === 1;
  const { own } = builder.names;
  const structName = own[`${name}_result`]!;
  const struct = `struct ${structName} { ${types.map((type, r) => `r${r}: ${type}`).join(', ')} }`;
  const returns = single ? types[0]! : structName;
  const text = [
    ...(single ? [] : [struct]),
    `fn ${own[name]}(${[...spec.parameters, ...fours.values()].join(', ')}) -> ${returns} {`,
    ...[...spec.prologue, ...writer.statements].map((line) => `  ${line}`),
    `  return ${single ? values[0] : `${structName}(${values.join(', ')})`};`,
    '}',
  ].join('\n');
  return {
    text,
    arguments: [...fours.keys()],
    result: (r, root) => (single ? r : `${r}.r${root}`),
  };
}
