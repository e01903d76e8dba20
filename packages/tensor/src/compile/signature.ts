import { ArgumentError } from '../checks/errors.ts';
import { Tensor } from '../graph/tensor.ts';
import { plainKey } from '../plain-key.ts';
import { formatShape } from '../shape.ts';
import { mapTree } from '../tree.ts';

/** Numbers for objects and functions, which stand for themselves in a signature. */
export interface Identities {
  identify(value: object): number;
}

/**
 * Text that is equal for arguments that share a trace: equal shapes and dtypes of tensors, equal values of everything else,
 * in the same tree.
 * @throws ArgumentError for host values, which have no place in a trace
 */
export function signatureOf(name: string, args: readonly unknown[], identities: Identities): string {
  return JSON.stringify(
    mapTree(args, (leaf, path) => {
      if (leaf instanceof Tensor) return `tensor ${leaf.dtype}${formatShape(leaf.shape)}`;
      if (ArrayBuffer.isView(leaf))
        throw new ArgumentError(
          `${name}: argument ${path} holds host values (${leaf.constructor.name}); give a tensor, or describe the arguments with options.inputs`,
        );
      return `value ${valueKey(leaf, identities)}`;
    }),
  );
}

function valueKey(value: unknown, identities: Identities): string {
  if ((typeof value === 'object' && value !== null) || typeof value === 'function')
    return `#${identities.identify(value)}`;
  if (typeof value === 'bigint' || typeof value === 'symbol') return `${typeof value} ${String(value)}`;
  return plainKey(value);
}
