/** One rule of a contract. `run` throws if it is broken. */
export interface ContractCase {
  readonly name: string;
  run(): void;
}

/** A rule of a contract that a component broke. */
export class ContractError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ContractError';
  }
}

/** @throws ContractError unless the two are the same as JSON */
export function same(got: unknown, expected: unknown, rule: string): void {
  const [a, b] = [JSON.stringify(got), JSON.stringify(expected)];
  if (a !== b) throw new ContractError(`${rule}: expected ${b}, got ${a}`);
}

/** @throws ContractError unless `holds` */
export function holds(condition: boolean, rule: string): void {
  if (!condition) throw new ContractError(rule);
}
