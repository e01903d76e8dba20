import { HeddleError } from '@heddle/tensor';

/** What went wrong with a hub. */
export type HubErrorCode =
  /** There is no such model, revision or file. */
  | 'ERR_HUB_NOT_FOUND'
  /** It needs a token, or another one. */
  | 'ERR_HUB_ACCESS'
  /** No answer, or none of use, after several tries. */
  | 'ERR_HUB_UNREACHABLE'
  /** Offline, and the cache does not have it. */
  | 'ERR_HUB_OFFLINE'
  /** What came is not what was announced: other bytes, another size, names that leave the cache. */
  | 'ERR_HUB_CONTENT';

/** A model could not be fetched from a hub. Nothing that is wrong is left in the cache. */
export class HubError extends HeddleError {
  declare readonly code: HubErrorCode;

  constructor(code: HubErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(code, `hub: ${message}`, options);
    this.name = 'HubError';
  }
}
