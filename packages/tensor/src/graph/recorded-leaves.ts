import { leavesOf } from '../tree.ts';
import { Tensor } from './tensor.ts';
import { Update } from './variable.ts';

/** The tensors among the leaves. */
export function tensorsOf(tree: unknown): Tensor[] {
  return leavesOf(tree).filter((leaf): leaf is Tensor => leaf instanceof Tensor);
}

/** The updates among the leaves. */
export function updatesOf(tree: unknown): Update[] {
  return leavesOf(tree).filter((leaf): leaf is Update => leaf instanceof Update);
}
