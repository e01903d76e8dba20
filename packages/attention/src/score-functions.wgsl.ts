import { type Dim, dimsEqual, type PointwiseContext, type Shape, type Tensor } from '@heddle/tensor';
import type { DenseSizes } from './dense-arguments.ts';
import type { TracedFunctions } from './score-functions.ts';

/**
 * The WGSL of traced score functions, `score_mod(score, query, key) -> f32` and `mask_mod(query, key) -> bool`, by the lowerings of their operations; captured tensors are buffers `captured0`, ....
 * Undefined where an operation is no function of single values, or a size is not among those of the attention.
 */
export function functionsText(traced: TracedFunctions, sizes: DenseSizes): string | undefined {
  try {
    const parts: string[] = [];
    if (traced.score) {
      const { statements, value } = write(traced, sizes, traced.score);
      parts.push(`fn score_mod(score: f32, query: Query, key: u32) -> f32 {\n${statements}\n  return ${value};\n}`);
    }
    if (traced.mask) {
      const { statements, value } = write(traced, sizes, traced.mask);
      parts.push(`fn mask_mod(query: Query, key: u32) -> bool {\n${statements}\n  return ${value} != 0u;\n}`);
    }
    return parts.join('\n');
  } catch (error) {
    if (error instanceof NoText) return undefined;
    throw error;
  }
}

class NoText extends Error {}

function write(
  { standIns, captured }: TracedFunctions,
  { B, H, L, S }: DenseSizes,
  root: Tensor,
): { statements: string; value: string } {
  const statements: string[] = [];
  const known = new Map<string, string>();
  const bind = (expression: string): string => {
    if (/^\w+$/.test(expression)) return expression;
    let name = known.get(expression);
    if (name === undefined) {
      name = `t${known.size}`;
      known.set(expression, name);
      statements.push(`  let ${name} = ${expression};`);
    }
    return name;
  };
  const dim = (size: Dim): string => {
    if (typeof size === 'number') return `${size}u`;
    for (const [name, own] of Object.entries({ B, L, S })) if (dimsEqual(size, own)) return `params.${name}`;
    if (dimsEqual(size, H)) return 'H';
    throw new NoText();
  };
  const linear = (shape: Shape, coordinates: readonly string[]) =>
    shape.reduce<string>((place, size, axis) => {
      if (size === 1) return place;
      return place === '0u' ? coordinates[axis]! : `(${place} * ${dim(size)} + ${coordinates[axis]})`;
    }, '0u');
  /** Coordinates of a broadcast operand. */
  const aligned = (shape: Shape, coordinates: readonly string[]) =>
    shape.map((size, i) => (size === 1 ? '0u' : coordinates[coordinates.length - shape.length + i]!));

  const valueAt = (tensor: Tensor, coordinates: readonly string[]): string => {
    switch (standIns.get(tensor)) {
      case 'score':
        return 'score';
      case 'b':
        return bind('i32(batch)');
      case 'h':
        return bind('i32(query.head)');
      case 'q':
        return 'query.position';
      case 'k':
        return bind('i32(key)');
      case undefined:
    }
    const place = captured.indexOf(tensor);
    if (place >= 0) return bind(`captured${place}_at(${linear(tensor.shape, coordinates)})`);
    const { op, inputs, attributes } = tensor.node;
    const lowering = op.lower?.webgpu;
    if (!lowering) {
      const parts = op.decompose?.(inputs, attributes);
      if (!parts) throw new NoText();
      return valueAt(parts[tensor.outputIndex]!, coordinates);
    }
    if ('expression' in lowering) {
      const values = inputs.map((input) => valueAt(input, aligned(input.shape, coordinates)));
      return bind(lowering.expression(values, attributes, tensor.node));
    }
    if (!('at' in lowering)) throw new NoText();
    const context: PointwiseContext<unknown> = {
      attributes,
      inputs,
      output: tensor,
      read: (index, at) => valueAt(inputs[index]!, at),
      dim,
      let: bind,
    };
    return bind(lowering.at(context, coordinates));
  };
  const full = ['batch', 'query.head', 'query.row', 'key'];
  const value = bind(valueAt(root, aligned(root.shape, full)));
  return { statements: statements.join('\n'), value };
}
