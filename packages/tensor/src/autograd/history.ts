import { ArgumentError } from '../checks/errors.ts';
import type { Node } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import { isStopGradient } from '../ops/movement/identity.ts';
import { formatShape } from '../shape.ts';

/**
 * Refuses gradients with respect to tensors from which `output` was computed through one that was realized: that is a leaf by now, and
 * nothing is known of what is behind it.
 * @throws ArgumentError
 */
export function assertNoneForgotten(output: Tensor, wrt: readonly Tensor[]): void {
  const asked = new Set(wrt);
  const behind = new Set<Tensor>();
  const before = new Set<Tensor>();
  const all = [...reachable([output], before, ({ node }) => node)];
  const cut = all.find(({ isCutOff }) => isCutOff);
  const lost = cut && wrt.find((tensor) => !before.has(tensor) && tensor.epoch <= cut.epoch);
  if (lost)
    throw new ArgumentError(
      `gradients: tensor ${wrt.indexOf(lost)} of ${formatShape(lost.shape)} may be behind one of ${formatShape(cut.shape)} that was computed for a read so long ago that nothing is known of what it was computed from: take gradients earlier`,
    );
  for (const realized of all)
    if (realized.history && !isStopGradient(realized.history))
      for (const tensor of reachable(realized.history.inputs, behind, ({ node, history }) => history ?? node))
        if (asked.has(tensor))
          throw new ArgumentError(
            `gradients: tensor ${wrt.indexOf(tensor)} of ${formatShape(tensor.shape)} is behind one of ${formatShape(realized.shape)} that was realized, through which no gradient goes: take gradients before that, or use stopGradient of it`,
          );
}

/** What tensors were computed from, themselves included, up to applications of `stopGradient`; each once for one `seen`. */
function* reachable(
  from: readonly Tensor[],
  seen: Set<Tensor>,
  origin: (tensor: Tensor) => Node,
): Generator<Tensor, void> {
  const stack = [...from];
  while (stack.length > 0) {
    const tensor = stack.pop()!;
    if (seen.has(tensor)) continue;
    seen.add(tensor);
    yield tensor;
    const node = origin(tensor);
    if (!isStopGradient(node)) stack.push(...node.inputs);
  }
}
