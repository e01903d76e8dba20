import { HeddleError } from '@heddle/tensor';

/** No token can be chosen from the logits of a request: they hold NaN or +Infinity, or none is finite. Code `ERR_LOGITS`. */
export class LogitsError extends HeddleError {
  constructor(message: string) {
    super('ERR_LOGITS', message);
    this.name = 'LogitsError';
  }
}

/**
 * Why no token can be chosen for a request, and what the likely cause is.
 * @param code what `unusable` gave for its logits
 */
export function logitsError(id: string, code: number, activations: 'f32' | 'f16'): LogitsError {
  const got =
    code === -1
      ? 'logits among which is NaN'
      : code === -2
        ? 'logits of which one is Infinity'
        : 'logits of which none is finite';
  const cause =
    activations === 'f16'
      ? "values beyond f16's range of 65,504 (load the model with activations: 'f32'), or damaged weights"
      : 'damaged weights, or weights in a dtype whose range they exceed (load the model with another dtype)';
  return new LogitsError(
    `generate: ${id}: the largest of the next token's logits must be finite, got ${got}; the likely cause is ${cause}`,
  );
}
