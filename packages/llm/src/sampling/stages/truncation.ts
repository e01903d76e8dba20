import { full, log, massThreshold, max, reshape, softmax, type Tensor, where } from '@heddle/tensor';
import type { LogitStage } from './logit-stage.ts';

/** More than all weights of a row: a threshold of this mass is the least value, below which nothing lies. */
const everything = 3e38;
const lowest = -3e38;

/** Logits `[R, V]` of the tokens whose value is at least `least` `[R, 1]`. */
export const keepFrom = (logits: Tensor, values: Tensor, least: Tensor): Tensor =>
  where(values.greaterEqual(least), logits, Number.NEGATIVE_INFINITY);

/** `massThreshold` of rows as a column: `mass` and the result are `[R, 1]`. */
export const thresholds = (values: Tensor, weights: Tensor, mass: Tensor): Tensor => {
  const rows = values.shape[0]!;
  return reshape(massThreshold(values, weights, reshape(mass, [rows])), [rows, 1]);
};

/** Divides logits, less the largest, so that no temperature overflows; a row of temperature 0 stays as it is. */
export const temperature: LogitStage = {
  name: 'temperature',
  parameters: { temperature: 1 },
  record(logits, { parameters: { temperature: value } }) {
    const top = max(logits, -1, { keepDims: true }).maximum(lowest);
    return logits.sub(top).div(where(value!.greater(0), value!, 1));
  },
};

export const topK: LogitStage = {
  name: 'top-k',
  parameters: { topK: 0 },
  record(logits, { parameters: { topK: k } }) {
    const mass = where(k!.greater(0), k!, everything);
    return keepFrom(logits, logits, thresholds(logits, full(logits.device, logits.shape, 1), mass));
  },
};

export const topP: LogitStage = {
  name: 'top-p',
  parameters: { topP: 1 },
  record(logits, { parameters: { topP: p } }) {
    const mass = where(p!.less(1), p!, everything);
    return keepFrom(logits, logits, thresholds(logits, softmax(logits, -1), mass));
  },
};

export const minP: LogitStage = {
  name: 'min-p',
  parameters: { minP: 0 },
  record: (logits, { parameters: { minP: p } }) =>
    keepFrom(logits, logits, max(logits, -1, { keepDims: true }).add(log(p!))),
};
