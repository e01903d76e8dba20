/** A call that is right. One place of it at a time is damaged; `*` in `taken` stands for every place, or damage. */
export interface ValidCall {
  readonly args: readonly unknown[] | (() => readonly unknown[] | Promise<readonly unknown[]>);
  /** What is right there too, as `place:damage`: `1.axis:-1` for the option `axis` of the second argument. */
  readonly taken?: readonly string[];
  /** What the messages call it, where that is not its name. */
  readonly named?: string;
}

export type Entry = readonly unknown[] | ValidCall;

/** Calls by what they call: functions of an entry, or methods of an object. `name: what else` is another call of `name`. */
export type Entries = Readonly<Record<string, Entry>>;

/** Methods of one object. All that it has are here, or among `leftOut`, with the reason. */
interface Methods {
  readonly of: string;
  readonly on: () => object | Promise<object>;
  readonly methods: Entries;
  readonly leftOut?: Readonly<Record<string, string>>;
}

/** What is called of one entry of a package. */
export interface CallsOf {
  readonly specifier: string;
  readonly functions: Entries;
  readonly leftOut?: Readonly<Record<string, string>>;
  readonly objects?: readonly Methods[];
}

const whole = Symbol('part');

/** A part that may be one's own, with methods and whatever else: nothing inside of it is damaged. */
export function part<P extends object>(value: P): P {
  return Object.defineProperty(value, whole, { value: true });
}

export const isPart = (value: object): boolean => whole in value;

export const validCall = (entry: Entry): ValidCall => (Array.isArray(entry) ? { args: entry } : (entry as ValidCall));

/** Methods of an object and of what it is made of. */
export function methodsOf(object: object): ReadonlySet<string> {
  const names = new Set<string>();
  for (let at = object; at !== Object.prototype && at !== null; at = Object.getPrototypeOf(at))
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at)))
      if (typeof value === 'function' && name !== 'constructor') names.add(name);
  return names;
}

/** Of every function that is an object with methods. */
export const ofFunctions: Readonly<Record<string, string>> = Object.fromEntries(
  ['apply', 'bind', 'call', 'toString'].map((name) => [name, 'is that of every function']),
);
