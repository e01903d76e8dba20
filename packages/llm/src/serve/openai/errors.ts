import type { Fault } from '../fault.ts';

/** A fault as OpenAI's API tells it. */
export function openAiError({ status, message, param, code }: Fault): object {
  const type =
    status === 429
      ? 'rate_limit_error'
      : status === 401
        ? 'authentication_error'
        : status < 500
          ? 'invalid_request_error'
          : 'server_error';
  return { error: { message, type, param: param ?? null, code: code ?? null } };
}
