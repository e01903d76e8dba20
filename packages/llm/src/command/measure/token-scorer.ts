import { compile, logSoftmax, reshape, type Tensor, takeAlongAxis } from '@heddle/tensor';
import type { CausalLm } from '../../models/causal-lm.ts';

/** How surprised a model is by tokens: the natural logarithm of one over their probability. Holds a plan; the model is the caller's. */
export class TokenScorer implements Disposable {
  readonly length: number;
  readonly #run: ReturnType<typeof plan>;

  /** @param length tokens of a window, at most the model's context */
  constructor(model: CausalLm, length: number) {
    this.length = Math.min(length, model.config.maxPositions);
    this.#run = plan(model, this.length);
  }

  /**
   * Nats of each token from `from` on, each after all before it, or after at least half a window of them.
   * @param tokens of which the first is only read
   */
  async nats(tokens: readonly number[], from: number = 1): Promise<number[]> {
    const { length } = this;
    const all: number[] = [];
    for (let start = 0, next = from; next < tokens.length; start += length >> 1) {
      // the token after the window's last is predicted, too
      if (start + length < next) continue;
      const inputs = new Int32Array(length);
      const targets = new Int32Array(length);
      for (let i = 0; i < length && start + i < tokens.length; i++) {
        inputs[i] = tokens[start + i]!;
        targets[i] = tokens[start + i + 1] ?? 0;
      }
      const shape = [1, length];
      const data = await (
        await this.#run({ tokens: { data: inputs, shape }, targets: { data: targets, shape } })
      ).data();
      for (; next <= start + length && next < tokens.length; next++) all.push(-data[next - 1 - start]!);
    }
    return all;
  }

  dispose(): void {
    this.#run.dispose();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}

function plan(model: CausalLm, length: number) {
  const shape = [1, length];
  return compile(
    ({ tokens, targets }: { tokens: Tensor; targets: Tensor }) => {
      const logprobs = logSoftmax(model.forward({ tokens }).logits, -1);
      return reshape(takeAlongAxis(logprobs, reshape(targets, [1, length, 1]), 2), [length]);
    },
    { device: model.device, inputs: [{ tokens: { shape, dtype: 'i32' }, targets: { shape, dtype: 'i32' } }] },
  );
}
