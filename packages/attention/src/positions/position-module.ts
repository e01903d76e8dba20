import {
  checkOptions,
  DTypeError,
  formatShape,
  ShapeError,
  shapesEqual,
  type Tensor,
  take,
  type Variable,
} from '@heddle/tensor';

/** What adds positions to the embedded tokens of a model without rotary embedding. */
export interface PositionModule extends Disposable {
  /** Trained parameters: the table `[P, E]` of learned positions; none of fixed ones. */
  readonly parameters: { readonly table?: Variable };
  /** x `[..., E]` plus the rows of `positions`, i32 `[...]`, by default 0, 1, ... along the axis before E; in the dtype of x. */
  forward(input: { readonly x: Tensor; readonly positions?: Tensor }): Tensor;
  /** Frees the table. Idempotent. */
  dispose(): void;
}

/** A module that adds rows of `table`. */
export function positionModule(name: string, table: Tensor, parameters: PositionModule['parameters']): PositionModule {
  const [P, E] = table.shape as [number, number];
  const dispose = () => table.dispose();
  return {
    parameters,
    forward(input) {
      checkOptions(name, input, { x: 'tensor', positions: 'tensor?' });
      const { x, positions } = input;
      const rows = x.shape.slice(0, -1);
      if (x.rank < 2 || x.shape.at(-1) !== E)
        throw new ShapeError(`${name}: x must be [..., L, ${E}], got ${formatShape(x.shape)}`);
      if (positions && !shapesEqual(positions.shape, rows))
        throw new ShapeError(`${name}: positions must be ${formatShape(rows)}, got ${formatShape(positions.shape)}`);
      if (positions && positions.dtype !== 'i32')
        throw new DTypeError(`${name}: positions must be i32, got ${positions.dtype}`);
      const length = rows.at(-1)!;
      if (!positions && typeof length === 'number' && length > P)
        throw new ShapeError(`${name}: there are ${P} positions, got ${length}`);
      const added = take(table, positions ?? x.device.arange(length));
      return x.add(added.cast(x.dtype));
    },
    dispose,
    [Symbol.dispose]: dispose,
  };
}
