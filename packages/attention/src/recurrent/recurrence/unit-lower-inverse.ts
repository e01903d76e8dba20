import {
  arange,
  defineOp,
  formatShape,
  matmul,
  type Op,
  recordOne,
  ShapeError,
  type Tensor,
  where,
} from '@heddle/tensor';

const inverseOp: Op<null> = defineOp({
  name: 'unitLowerInverse',
  shape([x]) {
    const [rows, columns] = x!.shape.slice(-2);
    if (x!.shape.length < 2 || typeof rows !== 'number' || rows !== columns)
      throw new ShapeError(`unitLowerInverse: takes [..., C, C] with a number C, got ${formatShape(x!.shape)}`);
    return [{ shape: x!.shape, dtype: 'f32' }];
  },
  gradient({ outputs: [inverse], outputGradients: [g] }) {
    const left = matmul(inverse!, g!, { transposeA: true });
    return [below(matmul(left, inverse!, { transposeB: true }).neg())];
  },
  // Inverses of blocks of 1, 2, 4, ... rows along the diagonal: that of two blocks follows from those of each. Nothing grows on the
  // way that the result does not have, as powers of x would.
  decompose([x]) {
    const size = x!.shape.at(-1) as number;
    const place = arange(x!.device, size);
    const [row, column] = [place.reshape([size, 1]), place.reshape([1, size])];
    let inverse = where(row.equal(column), 1, where(lowerLeft(row, column, 1), x!.neg(), 0));
    for (let block = 2; block < size; block *= 2) {
      const between = where(lowerLeft(row, column, block), x!, 0);
      inverse = inverse.sub(matmul(matmul(inverse, between), inverse));
    }
    return [inverse];
  },
});

/** Of each pair of neighbouring blocks on the diagonal the part that is in the rows of the second and the columns of the first. */
function lowerLeft(row: Tensor, column: Tensor, block: number): Tensor {
  const [rows, columns] = [row.div(block), column.div(block)];
  return rows.equal(columns.add(1)).and(columns.div(2).equal(rows.div(2)));
}

/** What is below the diagonal. */
function below(x: Tensor): Tensor {
  const size = x.shape.at(-1)!;
  const place = arange(x.device, size);
  return where(place.reshape([1, size]).less(place.reshape([size, 1])), x, 0);
}

/** The inverse of 1 + x, where x `[..., C, C]` has values below the diagonal only. f32 */
export function unitLowerInverse(x: Tensor): Tensor {
  return recordOne(inverseOp, [x], null);
}
