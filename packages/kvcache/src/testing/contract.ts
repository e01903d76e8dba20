import { isHeddleError } from '@heddle/tensor';

/** One rule that a cache keeps. */
export interface KvCacheContractCase {
  readonly name: string;
  /** @throws KvCacheContractError where the rule is broken */
  run(): Promise<void>;
}

/** A cache broke a rule of its contract. */
export class KvCacheContractError extends Error {
  constructor(message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options);
    this.name = 'KvCacheContractError';
  }
}

/** @throws KvCacheContractError unless `condition` */
export function holds(condition: boolean, rule: string): asserts condition {
  if (!condition) throw new KvCacheContractError(rule);
}

/** @throws KvCacheContractError unless the two are the same as JSON; typed arrays count as lists */
export function same(got: unknown, expected: unknown, rule: string): void {
  const text = (value: unknown) =>
    JSON.stringify(value, (_, part: unknown) => (ArrayBuffer.isView(part) ? Array.from(part as Int32Array) : part));
  const [a, b] = [text(got), text(expected)];
  if (a !== b) throw new KvCacheContractError(`${rule}: expected ${b}, got ${a}`);
}

/** @throws KvCacheContractError unless `action` throws, or rejects with, an error of that code */
export async function refused(code: string, action: () => unknown, rule: string): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (isHeddleError(error, code)) return;
    throw new KvCacheContractError(`${rule}: expected ${code}, got ${String(error)}`, { cause: error });
  }
  throw new KvCacheContractError(`${rule}: expected ${code}, and it was done`);
}
