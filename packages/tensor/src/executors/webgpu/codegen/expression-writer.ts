import { DeviceError } from '../../../checks/errors.ts';
import type { Dim } from '../../../dim.ts';
import type { Node } from '../../../graph/op.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import type { PointwiseContext, Prelude } from '../../../graph/webgpu-lowering.ts';
import { shapesEqual } from '../../../shape.ts';
import { getOrMake } from '../get-or-make.ts';
import { Place, type PlaceText } from './place.ts';

/** That something has no WGSL value by value: an operation with kernels of its own and no buffer, or a place that is not at hand. */
export class NoExpressionError extends DeviceError {
  constructor(what: string) {
    super(`${what}: has no value by value lowering and no buffer`);
    this.name = 'NoExpressionError';
  }
}

/** Where an expression gets what it does not compute. */
export interface ExpressionSource {
  /** An expression of the value of a tensor that has a buffer, or is in a register, at `place`; undefined: it is computed. */
  read(tensor: Tensor, place: Place): string | undefined;
  dim(dim: Dim): string;
  /** `prelude` of the names that the kernel is written with. */
  readonly prelude: Prelude;
}

/**
 * Writes the WGSL statements that compute values of a graph at places, inlining whatever has no buffer. What is asked for
 * twice at one place is computed once.
 *
 * ```ts
 * // the statements that compute y at row `i` from x, which is a buffer of the kernel
 * const writer = new ExpressionWriter({
 *   read: (tensor, place) => (tensor === x ? `${names.at.x}(${place.linear()})` : undefined),
 *   dim: (dim) => `${dim}u`,
 *   prelude: names.prelude,
 * });
 * const value = writer.value(y, Place.at(y.shape, ['i'], writer));
 * ```
 */
export class ExpressionWriter implements PlaceText {
  readonly statements: string[] = [];
  readonly #source: ExpressionSource;
  readonly #done = new Map<Tensor, Map<string, string>>();
  readonly #names = new Map<string, string>();

  constructor(source: ExpressionSource) {
    this.#source = source;
  }

  /** A size, as an expression. */
  dim(dim: Dim): string {
    return this.#source.dim(dim);
  }

  /** A name for an expression. */
  let(expression: string): string {
    return /^\w+$/.test(expression) ? expression : this.#bind(expression);
  }

  #bind(expression: string): string {
    if (/^[a-z]\w*$/i.test(expression)) return expression;
    let name = this.#names.get(expression);
    if (name === undefined) {
      name = `t${this.#names.size}`;
      this.#names.set(expression, name);
      this.statements.push(`let ${name} = ${expression};`);
    }
    return name;
  }

  /** The name of the value of `tensor` at `place`, which is a place of its shape. */
  value(tensor: Tensor, place: Place): string {
    const places = getOrMake(this.#done, tensor, () => new Map<string, string>());
    // bound to a name even where it is a literal: WGSL refuses constant expressions that overflow or divide by 0
    return getOrMake(places, place.key, () =>
      this.#bind(this.#source.read(tensor, place) ?? this.#compute(tensor, place)),
    );
  }

  #compute(tensor: Tensor, place: Place): string {
    const { node } = tensor;
    const lowering = node.op.lower?.webgpu;
    if (lowering && 'expression' in lowering) {
      const values = node.inputs.map((input) => this.value(input, this.#broadcast(place, input)));
      return lowering.expression(values, node.attributes, node, this.#source.prelude);
    }
    if (lowering && 'at' in lowering) {
      const input = node.inputs[0];
      if (lowering.keepsOrder && input) return this.value(input, this.#reordered(node, input, place));
      return lowering.at(this.#context(node, place), place.coordinates());
    }
    const simpler = lowering ? undefined : node.op.decompose?.(node.inputs, node.attributes);
    if (!simpler) throw new NoExpressionError(node.op.name);
    return this.value(simpler[tensor.outputIndex]!, place);
  }

  /** The place of an operand that broadcasts to the place of the result. */
  #broadcast(place: Place, { shape }: Tensor): Place {
    if (shapesEqual(shape, place.shape)) return place;
    const extra = place.shape.length - shape.length;
    return Place.at(
      shape,
      shape.map((size, axis) => (size === 1 ? '0u' : place.coordinate(axis + extra))),
      this,
    );
  }

  #context(node: Node, place: Place): PointwiseContext<unknown> {
    return {
      attributes: node.attributes,
      inputs: node.inputs,
      output: node.outputs[0]!,
      prelude: this.#source.prelude,
      dim: (dim) => this.dim(dim),
      let: (expression) => this.let(expression),
      read: (index, coordinates) => {
        const input = node.inputs[index]!;
        const here =
          shapesEqual(input.shape, place.shape) && coordinates.every((c, axis) => c === place.coordinate(axis));
        return this.value(input, here ? place : Place.at(input.shape, coordinates, this));
      },
    };
  }

  /** The place of the input of an operation that keeps row-major order: the same position, other coordinates. */
  #reordered(node: Node, input: Tensor, place: Place): Place {
    const linear = () => place.linear();
    // from a position, coordinates are divided out directly; from coordinates, the operation knows the shorter way
    if (place.isLinear) return new Place(place.key, input.shape, this, { linear });
    let found: readonly string[] | undefined;
    const coordinate = (axis: number) => {
      found ??= this.#coordinatesRead(node, place);
      return found[axis]!;
    };
    return new Place(`~${place.key}`, input.shape, this, { linear, coordinate });
  }

  #coordinatesRead(node: Node, place: Place): readonly string[] {
    let found: readonly string[] = [];
    const lowering = node.op.lower?.webgpu;
    if (lowering && 'at' in lowering) {
      const read = (_: number, coordinates: readonly string[]) => {
        found = coordinates.map((c) => this.let(c));
        return '';
      };
      lowering.at({ ...this.#context(node, place), read }, place.coordinates());
    }
    return found;
  }
}
