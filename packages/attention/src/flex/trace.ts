import {
  ArgumentError,
  broadcastShapes,
  checkArguments,
  type Device,
  formatShape,
  full,
  type Node,
  replay,
  type Shape,
  ShapeError,
  shapesEqual,
  type Tensor,
} from '@heddle/tensor';

/** Where a score stands: i32 tensors that broadcast to the scores. Those of `attention` are `[B, H, L, S]`. */
export interface ScorePlace {
  /** Sequence of the batch. */
  readonly b: Tensor;
  /** Query head. */
  readonly h: Tensor;
  /** Position of the query among the keys: `l + S - L` for query l. */
  readonly q: Tensor;
  /** Position of the key. */
  readonly k: Tensor;
}

/** What becomes of a score (f32), written in tensor operations value by value; may use tensors from outside. */
export type ScoreMod = (score: Tensor, place: ScorePlace) => Tensor;
/** Whether a query sees a key: a bool tensor of the place. */
export type MaskMod = (place: ScorePlace) => Tensor;

/** A score, and what says where it stands. */
export type PlaceName = 'score' | keyof ScorePlace;
/** Shapes of the scores and of their places, each of rank 4. */
export type PlaceShapes = Readonly<Record<PlaceName, Shape>>;

/** Functions of scores and their places. */
export interface ScoreFunctions {
  readonly scoreMod?: ScoreMod | undefined;
  readonly maskMod?: MaskMod | undefined;
}

/** Derivatives of a score function over the same stand-ins. */
export interface FunctionSlopes {
  /** What the score changes by where the score before it changes by one. */
  readonly byScore: Tensor;
  /** Stands for the gradient with respect to what the score function gives. */
  readonly seed: Tensor;
  /** Stand-ins for the captured tensors, and the gradients with respect to those that are floats, from `seed`. */
  readonly captured: readonly Tensor[];
  readonly byCaptured: readonly (Tensor | undefined)[];
}

/** Score functions as a graph over stand-ins for the score and its place. */
export interface TracedFunctions {
  readonly score: Tensor | undefined;
  readonly mask: Tensor | undefined;
  readonly standIns: ReadonlyMap<Tensor, PlaceName>;
  /** Tensors from outside, in order. */
  readonly captured: readonly Tensor[];
  /** For gradients only, see `differentiated`. */
  readonly slopes?: FunctionSlopes;
  /** Equal for functions that compute the same. */
  readonly key: string;
}

/** Records what score functions do, once; errors name `operation`. @throws ArgumentError, ShapeError for what they may not give */
export function traceFunctions(
  operation: string,
  device: Device,
  shapes: PlaceShapes,
  { scoreMod, maskMod }: ScoreFunctions,
): TracedFunctions {
  const score = full(device, shapes.score, 0, 'f32');
  const [b, h, q, k] = (['b', 'h', 'q', 'k'] as const).map((name) => full(device, shapes[name], 0, 'i32')) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  const place: ScorePlace = { b, h, q, k };
  const standIns = new Map(Object.entries({ score, ...place }).map(([name, tensor]) => [tensor, name as PlaceName]));
  const roots = { score: scoreMod?.(score, place), mask: maskMod?.(place) };
  if (scoreMod) checkArguments(operation, 'tensor', { 'what scoreMod gives': roots.score });
  if (maskMod) checkArguments(operation, 'tensor', { 'what maskMod gives': roots.mask });
  if (roots.score) checkGiven(`${operation}: scoreMod`, roots.score, 'f32', shapes.score);
  if (roots.mask) checkGiven(`${operation}: maskMod`, roots.mask, 'bool', shapes.score);
  const captured: Tensor[] = [];
  const lines: string[] = [];
  const numbers = new Map<Tensor, string>();
  const visit = (tensor: Tensor): string => {
    let name = numbers.get(tensor) ?? standIns.get(tensor);
    if (name !== undefined) return name;
    if (isCaptured(tensor, standIns)) {
      name = `captured${captured.push(tensor) - 1} ${tensor.dtype}${formatShape(tensor.shape)}`;
    } else {
      const inputs = tensor.node.inputs.map(visit);
      name = `%${lines.length}`;
      lines.push(
        `${device.identify(tensor.node.op)} ${tensor.node.op.name} ${attributesKey(tensor.node.attributes)} ${inputs.join(' ')} ${tensor.outputIndex}`,
      );
    }
    numbers.set(tensor, name);
    return name;
  };
  for (const root of [roots.score, roots.mask]) lines.push(`= ${root ? visit(root) : 'none'}`);
  return { ...roots, standIns, captured, key: lines.join('\n') };
}

/** @throws ArgumentError, ShapeError */
function checkGiven(name: string, { dtype, rank, shape }: Tensor, expected: 'f32' | 'bool', scores: Shape): void {
  if (dtype !== expected) throw new ArgumentError(`${name} must give ${expected}, got ${dtype}`);
  if (rank > 4 || !shapesEqual(broadcastShapes(name, [shape, scores]), scores))
    throw new ShapeError(`${name} must give what broadcasts to ${formatShape(scores)}, got ${formatShape(shape)}`);
}

/** Attributes as text: numbers that JSON has not, and sizes, which are objects of their own, are told apart. */
function attributesKey(attributes: unknown): string {
  return JSON.stringify(attributes, (_, value: unknown) => {
    if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
    const isPlain = typeof value !== 'object' || value === null || Array.isArray(value);
    return isPlain || Object.getPrototypeOf(value) === Object.prototype ? value : `size ${String(value)}`;
  });
}

/** Whether a tensor comes from outside: it depends on no stand-in and is no generated constant. */
function isCaptured(tensor: Tensor, standIns: ReadonlyMap<Tensor, PlaceName>): boolean {
  if (standIns.has(tensor)) return false;
  const { op, inputs } = tensor.node;
  // leaves have no lowering: values on a device, variables, arguments of compiled functions
  if (inputs.length === 0) return tensor.storage !== undefined || op.lower === undefined;
  return !dependsOn(tensor, standIns, new Map());
}

function dependsOn(tensor: Tensor, standIns: ReadonlyMap<Tensor, PlaceName>, known: Map<Node, boolean>): boolean {
  if (standIns.has(tensor)) return true;
  let found = known.get(tensor.node);
  if (found === undefined) {
    found = tensor.node.inputs.some((input) => dependsOn(input, standIns, known));
    known.set(tensor.node, found);
  }
  return found;
}

/** Real tensors for the stand-ins: a score, its place and the captured tensors. */
export function substitutesFor(
  { standIns, captured: from, slopes }: TracedFunctions,
  real: Readonly<Record<PlaceName, Tensor>>,
  captured: readonly Tensor[],
): Map<Tensor, Tensor> {
  const found = new Map([...standIns].map(([tensor, name]) => [tensor, real[name]]));
  for (const list of [from, slopes?.captured ?? []])
    for (const [i, tensor] of list.entries()) found.set(tensor, captured[i]!);
  return found;
}

/** Records the functions on a real score, its place and the captured tensors. */
export function replayFunctions(
  traced: TracedFunctions,
  real: Readonly<Record<PlaceName, Tensor>>,
  captured: readonly Tensor[],
): { readonly score: Tensor; readonly seen: Tensor | undefined; readonly slope: Tensor | undefined } {
  const roots = [traced.score, traced.mask, traced.slopes?.byScore].filter((root) => root !== undefined);
  const results = replay(roots, substitutesFor(traced, real, captured));
  const resultOf = (root: Tensor | undefined) => root && results[roots.indexOf(root)];
  return {
    score: resultOf(traced.score) ?? real.score,
    seen: resultOf(traced.mask),
    slope: resultOf(traced.slopes?.byScore),
  };
}
