import type { Fault } from '../fault.ts';

const types: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
};

/** A fault as Anthropic's API tells it. */
export function anthropicError({ status, message }: Fault, requestId?: string): object {
  const type = types[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error');
  return { type: 'error', error: { type, message }, ...(requestId !== undefined && { request_id: requestId }) };
}
