import { DTypeError, ShapeError } from '../checks/errors.ts';
import { type HostArray, hostLength, isHostArrayOf } from '../dtype.ts';
import { formatShape, sizeOf } from '../shape.ts';
import type { Variable } from './variable.ts';

/** Writes the values of a variable as they come. @throws ShapeError where they are not as many as it has; DTypeError */
export async function writeParts(variable: Variable, parts: AsyncIterable<HostArray>): Promise<void> {
  const { device, dtype, name, shape } = variable;
  const length = hostLength(dtype, sizeOf(shape as readonly number[]));
  const wrong = (got: string) =>
    new ShapeError(`variableOfParts: ${name} ${formatShape(shape)} takes ${length} values, got ${got}`);
  let at = 0;
  for await (const part of parts) {
    if (!isHostArrayOf(dtype, part))
      throw new DTypeError(`variableOfParts: ${name} is ${dtype}, got a part of another type`);
    if (at + part.length > length) throw wrong(`${at + part.length} or more`);
    device.assertOpen('variableOfParts');
    device.executor.write(variable.storage!, part, at);
    at += part.length;
  }
  if (at !== length) throw wrong(String(at));
}
