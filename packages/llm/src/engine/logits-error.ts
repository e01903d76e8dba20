import { HeddleError } from '@heddle/tensor';

/** No token can be chosen from the logits of a request: they hold NaN or +Infinity, or none is finite. Code `ERR_LOGITS`. */
export class LogitsError extends HeddleError {
  constructor(message: string) {
    super('ERR_LOGITS', message);
    this.name = 'LogitsError';
  }
}

/** Why no token can be chosen from these logits `[V]`, and what the likely cause is. */
export function logitsError(id: string, logits: Float32Array, activations: 'f32' | 'f16'): LogitsError {
  const at = logits.findIndex((logit) => !(logit < Number.POSITIVE_INFINITY));
  const got = at < 0 ? 'none is finite' : `that of token ${at} of ${logits.length} is ${logits[at]}`;
  const cause =
    activations === 'f16'
      ? "values beyond f16's range of 65,504 (load the model with activations: 'f32'), or damaged weights"
      : 'damaged weights, or weights in a dtype whose range they exceed (load the model with another dtype)';
  return new LogitsError(
    `generate: ${id}: the largest of the next token's logits must be finite, got logits of which ${got}; the likely cause is ${cause}`,
  );
}
