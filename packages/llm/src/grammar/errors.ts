import { HeddleError } from '@heddle/tensor';

/**
 * A grammar, schema or pattern cannot be used. Code `ERR_GRAMMAR` where it is wrong or says what is not supported,
 * `ERR_GRAMMAR_LIMIT` where it is too large, too deep or takes too long.
 */
export class GrammarError extends HeddleError {
  constructor(
    message: string,
    options: { readonly code?: 'ERR_GRAMMAR' | 'ERR_GRAMMAR_LIMIT'; readonly cause?: unknown } = {},
  ) {
    super(options.code ?? 'ERR_GRAMMAR', message, options);
    this.name = 'GrammarError';
  }
}

export function grammarLimit(message: string): GrammarError {
  return new GrammarError(message, { code: 'ERR_GRAMMAR_LIMIT' });
}
