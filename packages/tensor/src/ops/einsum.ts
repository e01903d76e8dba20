import { calledAs } from '../checks/called-as.ts';
import { checkArguments } from '../checks/check-arguments.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError, DTypeError, ShapeError } from '../checks/errors.ts';
import { type Dim, dimsEqual } from '../dim.ts';
import { isFloat } from '../dtype.ts';
import type { Tensor } from '../graph/tensor.ts';
import { formatShape, shapesEqual, sizeOf } from '../shape.ts';
import { arange } from './create/creation.ts';
import { where } from './elementwise/where.ts';
import { matmul } from './matmul/matmul.ts';
import { expand, permute, reshape } from './movement/movement.ts';
import { sum } from './reduce/reduce.ts';

/** A tensor whose axes have names, each once. */
interface Named {
  readonly tensor: Tensor;
  readonly names: readonly string[];
}

interface Equation {
  readonly operands: readonly (readonly string[])[];
  readonly result: readonly string[];
}

/**
 * Sums of products in Einstein's notation: `einsum('bij,bjk->bik', a, b)`. Letters name axes; those that the result does not
 * name are summed, a letter twice in one operand is its diagonal, twice in the
 * result puts it on one; an axis of size 1 broadcasts to what its letter is elsewhere; `...` stands for further axes in front, which broadcast.
 * Without `->` the result has the letters that occur once, in the alphabet's order. Operands are joined from left to right, by
 * matrix products where axes are summed over two of them. f32 or f16.
 * @throws ArgumentError for an equation that cannot be read; ShapeError where sizes of a letter differ; DTypeError
 */
export function einsum(equation: string, ...operands: readonly Tensor[]): Tensor {
  return calledAs('einsum', () => {
    if (typeof equation !== 'string') throw new ArgumentError(`einsum: takes an equation, got ${describe(equation)}`);
    checkArguments('einsum', 'tensor', { ...operands });
    const parsed = parse(equation, operands);
    const sizes = new Map<string, Dim>();
    operands.forEach((tensor, i) => {
      if (!isFloat(tensor.dtype)) throw new DTypeError(`einsum: takes f32 or f16, got ${tensor.dtype}`);
      noteSizes(equation, parsed.operands[i]!, tensor, sizes);
    });
    const named = operands.map((tensor, i) => diagonals(spreadOut({ tensor, names: parsed.operands[i]! }, sizes)));
    let joined = named[0]!;
    for (let i = 1; i < named.length; i++) {
      const later = new Set([...parsed.result, ...named.slice(i + 1).flatMap(({ names }) => names)]);
      joined = join(joined, named[i]!, (name) => later.has(name));
    }
    const once = [...new Set(parsed.result)];
    const kept = arrange(
      sumOut(joined, (name) => once.includes(name)),
      once,
    );
    return onDiagonals(kept, once, parsed.result);
  });
}

function parse(equation: string, tensors: readonly Tensor[]): Equation {
  const fail = (rule: string) => new ArgumentError(`einsum: '${equation}': ${rule}`);
  const sides = equation.replaceAll(' ', '').split('->');
  const inputs = sides[0]!.split(',');
  if (sides.length > 2) throw fail("expected one '->'");
  if (inputs.length !== tensors.length || tensors.length === 0)
    throw fail(`names ${inputs.length} operands, got ${tensors.length}`);
  for (const part of [...inputs, ...sides.slice(1)])
    if (!/^[A-Za-z]*(\.\.\.)?[A-Za-z]*$/.test(part))
      throw fail(`expected letters and at most one '...', got '${part}'`);
  const open = inputs.map((part, i) => {
    const letters = part.replace('...', '').length;
    const more = tensors[i]!.rank - letters;
    if (part.includes('...') ? more < 0 : more !== 0)
      throw fail(`'${part}' does not name the axes of ${formatShape(tensors[i]!.shape)}`);
    return more;
  });
  const most = Math.max(...open);
  // axes of an ellipsis are named by their distance from its end, so that they broadcast from there
  const expandEllipsis = (part: string, count: number) =>
    [...part.replace('...', '.')].flatMap((letter) =>
      letter === '.' ? Array.from({ length: count }, (_, i) => `...${count - i}`) : [letter],
    );
  const operands = inputs.map((part, i) => expandEllipsis(part, open[i]!));
  if (sides[1] !== undefined) {
    const result = expandEllipsis(sides[1], most);
    const given = new Set(operands.flat());
    const unknown = result.find((name) => !given.has(name));
    if (unknown !== undefined) throw fail(`no operand has the axis '${unknown}' of the result`);
    if (most > 0 && !sides[1].includes('...')) throw fail("the result must name the axes of '...'");
    return { operands, result };
  }
  const all = operands.flat().filter((name) => !name.startsWith('.'));
  const once = [...new Set(all)].filter((name) => all.indexOf(name) === all.lastIndexOf(name)).sort();
  return { operands, result: [...expandEllipsis('...', most), ...once] };
}

/** Notes the size of each axis, which may be 1 in some operands: they broadcast. */
function noteSizes(equation: string, names: readonly string[], { shape }: Tensor, sizes: Map<string, Dim>): void {
  names.forEach((name, axis) => {
    const [size, known] = [shape[axis]!, sizes.get(name)];
    if (known === undefined || known === 1) sizes.set(name, size);
    else if (!dimsEqual(known, size) && size !== 1)
      throw new ShapeError(`einsum: '${equation}': axis ${name} has sizes ${known} and ${size}`);
  });
}

/** Brings axes of size 1 that letters name to the size that these have elsewhere; those of an ellipsis broadcast by themselves. */
function spreadOut({ tensor, names }: Named, sizes: ReadonlyMap<string, Dim>): Named {
  const shape = names.map((name, axis) => (name.startsWith('.') ? tensor.shape[axis]! : sizes.get(name)!));
  return { tensor: shapesEqual(shape, tensor.shape) ? tensor : expand(tensor, shape), names };
}

/** Puts the values of an axis that the result names twice on a diagonal, and zeros around it. */
function onDiagonals(tensor: Tensor, names: readonly string[], result: readonly string[]): Tensor {
  const at = result.findIndex((name, i) => name !== names[i]);
  if (at < 0) return tensor;
  const first = names.indexOf(result[at]!);
  const size = tensor.shape[first]!;
  const wide = [...tensor.shape.slice(0, at), 1, ...tensor.shape.slice(at)];
  const along = (axis: number) =>
    reshape(
      arange(tensor.device, size),
      wide.map((_, i) => (i === axis ? size : 1)),
    );
  const placed = where(along(first).equal(along(at)), reshape(tensor, wide), 0);
  return onDiagonals(placed, [...names.slice(0, at), result[at]!, ...names.slice(at)], result);
}

/** Leaves of axes with one name their diagonal. */
function diagonals({ tensor, names }: Named): Named {
  const twice = names.findIndex((name, i) => names.indexOf(name) !== i);
  if (twice < 0) return { tensor, names };
  const first = names.indexOf(names[twice]!);
  const size = tensor.shape[first]!;
  const along = (axis: number) =>
    reshape(
      arange(tensor.device, size),
      names.map((_, i) => (i === axis ? size : 1)),
    );
  const diagonal = sum(where(along(first).equal(along(twice)), tensor, 0), twice);
  return diagonals({ tensor: diagonal, names: names.filter((_, i) => i !== twice) });
}

/** Sums the axes that nothing needs any more. */
function sumOut({ tensor, names }: Named, needed: (name: string) => boolean): Named {
  const axes = names.flatMap((name, axis) => (needed(name) ? [] : [axis]));
  return { tensor: axes.length > 0 ? sum(tensor, axes) : tensor, names: names.filter(needed) };
}

/** Reorders axes to `names`, with axes of size 1 for those that are not there. */
function arrange({ tensor, names }: Named, to: readonly string[]): Tensor {
  const present = to.filter((name) => names.includes(name));
  const ordered = permute(
    tensor,
    present.map((name) => names.indexOf(name)),
  );
  return reshape(
    ordered,
    to.map((name) => (names.includes(name) ? tensor.shape[names.indexOf(name)]! : 1)),
  );
}

/** The product of two operands, summed over the axes that they share and nothing needs: batch x (rows, common) x (common, columns). */
function join(left: Named, right: Named, needed: (name: string) => boolean): Named {
  const shared = (name: string) => left.names.includes(name) && right.names.includes(name);
  const a = sumOut(left, (name) => needed(name) || shared(name));
  const b = sumOut(right, (name) => needed(name) || shared(name));
  const broadcast = (name: string) => name.startsWith('.');
  const batch = [...new Set([...a.names, ...b.names])].filter((n) => (shared(n) && needed(n)) || broadcast(n));
  const common = a.names.filter((name) => shared(name) && !needed(name) && !broadcast(name));
  const rows = a.names.filter((name) => !shared(name) && !broadcast(name));
  const columns = b.names.filter((name) => !shared(name) && !broadcast(name));
  const names = [...batch, ...rows, ...columns];
  if (common.length === 0)
    return {
      tensor: arrange(a, [...batch, ...rows, ...columns]).mul(arrange(b, [...batch, ...rows, ...columns])),
      names,
    };
  const sizesOf = ({ tensor, names: own }: Named, list: readonly string[]) =>
    list.map((name) => (own.includes(name) ? tensor.shape[own.indexOf(name)]! : 1));
  const [rowSizes, columnSizes] = [sizesOf(a, rows), sizesOf(b, columns)];
  const inner = sizeOf(sizesOf(a, common));
  const x = reshape(arrange(a, [...batch, ...rows, ...common]), [...sizesOf(a, batch), sizeOf(rowSizes), inner]);
  const y = reshape(arrange(b, [...batch, ...columns, ...common]), [...sizesOf(b, batch), sizeOf(columnSizes), inner]);
  const product = matmul(x, y, { transposeB: true });
  return { tensor: reshape(product, [...product.shape.slice(0, -2), ...rowSizes, ...columnSizes]), names };
}
