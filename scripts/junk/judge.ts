import { isHeddleError, Tensor } from '@heddle/tensor';
import { type Damage, damages } from './damage.ts';
import { type Entry, validCall } from './valid-call.ts';

/** Something to call, and what it is called in messages. */
export interface Callee {
  readonly name: string;
  readonly call?: (...args: readonly unknown[]) => unknown;
  /** Makes the function of a call, on an object of its own. */
  readonly prepare?: () => Promise<(...args: readonly unknown[]) => unknown>;
}

const isPromise = (value: unknown): value is Promise<unknown> => value instanceof Promise;

/** Waits for what a call gave, and lets go of it. */
async function settle(given: unknown, kept: ReadonlySet<unknown>): Promise<void> {
  const result = (await given) as
    | Partial<AsyncIterable<unknown> & Disposable & AsyncDisposable & { dispose(): unknown }>
    | undefined
    | null;
  // tensors go with their device
  if (typeof result !== 'object' || result === null || kept.has(result) || result instanceof Tensor) return;
  if (typeof result[Symbol.asyncIterator] === 'function') {
    const iterator = result[Symbol.asyncIterator]!();
    await iterator.next();
    await iterator.return?.();
  } else if (typeof result.dispose === 'function') await result.dispose();
}

interface Outcome {
  readonly error: unknown;
  readonly failed: boolean;
  /** Whether it gave a promise, however that ended. */
  readonly promised: boolean;
}

async function outcome(call: () => unknown, kept: ReadonlySet<unknown>): Promise<Outcome> {
  let given: unknown;
  try {
    given = call();
  } catch (error) {
    return { error, failed: true, promised: false };
  }
  try {
    await settle(given, kept);
    return { error: undefined, failed: false, promised: isPromise(given) };
  } catch (error) {
    return { error, failed: true, promised: isPromise(given) };
  }
}

function isTaken(taken: readonly string[], { place, name }: Damage): boolean {
  return taken.some(
    (each) => each === `${place}:${name}` || each === `${place}:*` || each === `*:${name}` || each === '*',
  );
}

/** What is wrong with how a call answers damage; the calls that are tried are every `step`-th, from `from`. */
export async function faultsOf(
  { name, call, prepare }: Callee,
  entry: Entry,
  {
    junk,
    kept,
    wanted,
  }: {
    readonly junk: ReadonlyMap<string, unknown>;
    readonly kept: ReadonlySet<unknown>;
    readonly wanted: (index: number) => boolean;
  },
): Promise<string[]> {
  const { args, taken = [], named = name } = validCall(entry);
  const fresh = async () => (typeof args === 'function' ? await args() : args);
  const valid = await fresh();
  const callee = async () => (prepare ? await prepare() : call!);
  const first = await callee();
  const right = await outcome(() => first(...valid), kept);
  if (right.failed) return [`${name}: the valid call fails: ${String(right.error)}`];
  const faults: string[] = [];
  const say = (damage: Damage, what: string) => faults.push(`${name} ${damage.place}:${damage.name} ${what}`);
  const count = [...damages(valid, junk, prepare !== undefined)].length;
  for (let i = 0; i < count; i++) {
    if (!wanted(i)) continue;
    const damage =
      typeof args === 'function'
        ? [...damages(await fresh(), junk, prepare !== undefined)][i]!
        : [...damages(valid, junk, prepare !== undefined)][i]!;
    const damaged = await callee();
    const { error, failed, promised } = await outcome(() => damaged(...damage.args), kept);
    const message = String((error as Error | undefined)?.message ?? error).split('\n')[0]!;
    const mayStand = isTaken(taken, damage);
    if (!failed) {
      if (damage.wrong && !mayStand) say(damage, 'is taken');
    } else if (mayStand && (error as Error | undefined)?.name === 'ContractError') continue;
    else if (!isHeddleError(error)) say(damage, `has no code: ${String(error).split('\n')[0]}`);
    else if (right.promised && !promised) say(damage, `throws at once: ${message}`);
    else if (mayStand) continue;
    else if (!message.startsWith(named)) say(damage, `is of another: ${message}`);
    else if (damage.named !== undefined && !message.includes(damage.named)) say(damage, `is not named: ${message}`);
  }
  return faults;
}
