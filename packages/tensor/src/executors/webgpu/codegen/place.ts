import { type Dim, multiplyDims } from '../../../dim.ts';
import type { Shape } from '../../../shape.ts';

/** What places need of the text that is being written. */
export interface PlaceText {
  dim(dim: Dim): string;
  /** Binds an expression to a name. */
  let(expression: string): string;
}

/** How a place is known. What is missing is computed from the other, where something asks for it. */
interface Known {
  readonly linear?: () => string;
  readonly coordinate?: (axis: number) => string;
}

/** One value of a tensor of `shape`: its position in row-major order and its coordinates, as `u32` expressions. */
export class Place {
  /** Equal for places that are known by the same expressions. */
  readonly key: string;
  readonly shape: Shape;
  readonly #text: PlaceText;
  readonly #known: Known;
  #linear: string | undefined;
  readonly #coordinates: (string | undefined)[] = [];

  constructor(key: string, shape: Shape, text: PlaceText, known: Known) {
    this.key = key;
    this.shape = shape;
    this.#text = text;
    this.#known = known;
  }

  /** The place at given coordinates. */
  static at(shape: Shape, coordinates: readonly string[], text: PlaceText): Place {
    return new Place(`[${coordinates}]`, shape, text, { coordinate: (axis) => coordinates[axis]! });
  }

  /** Whether the position is known without computing it from coordinates. */
  get isLinear(): boolean {
    return this.#known.linear !== undefined;
  }

  /** The position in row-major order. */
  linear(): string {
    this.#linear ??=
      this.#known.linear?.() ?? this.#text.let(positionOf(this.shape, (a) => this.coordinate(a), this.#text));
    return this.#linear;
  }

  /** The coordinate along an axis. */
  coordinate(axis: number): string {
    let found = this.#coordinates[axis];
    if (found === undefined) {
      if (this.shape[axis] === 1) found = '0u';
      else
        found =
          this.#known.coordinate?.(axis) ?? this.#text.let(coordinateOf(this.linear(), axis, this.shape, this.#text));
      this.#coordinates[axis] = found;
    }
    return found;
  }

  /** All of them. */
  coordinates(): string[] {
    return this.shape.map((_, axis) => this.coordinate(axis));
  }
}

/** The innermost axis with more than one value, -1 where there is none. */
export function innermostAxis(shape: Shape): number {
  for (let axis = shape.length - 1; axis >= 0; axis--) if (shape[axis] !== 1) return axis;
  return -1;
}

/** Whether that axis is a multiple of four long, whatever the run. */
export function innermostIsFours(shape: Shape): boolean {
  const size = shape[innermostAxis(shape)];
  return typeof size === 'number' && size % 4 === 0;
}

/** Row-major position of coordinates. */
function positionOf(shape: Shape, coordinate: (axis: number) => string, text: PlaceText): string {
  let position = '';
  shape.forEach((size, axis) => {
    if (size === 1) return;
    const c = coordinate(axis);
    position = position === '' ? c : `(${position} * ${text.dim(size)} + ${c})`;
  });
  return position || '0u';
}

/** The coordinate along `axis` of a row-major position: a division unless the axis is the innermost, a remainder unless the outermost. */
export function coordinateOf(position: string, axis: number, shape: Shape, text: PlaceText): string {
  const inner = shape.slice(axis + 1).reduce<Dim>(multiplyDims, 1);
  const outermost = shape.slice(0, axis).every((size) => size === 1);
  const quotient = inner === 1 ? position : `${position} / ${text.dim(inner)}`;
  if (outermost) return quotient;
  return `${inner === 1 ? quotient : `(${quotient})`} % ${text.dim(shape[axis]!)}`;
}
