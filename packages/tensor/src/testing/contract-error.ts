/** A rule that what is tested broke. */
export class ContractError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ContractError';
  }
}

/** @throws ContractError unless `condition` holds */
export function holds(condition: boolean, rule: string): void {
  if (!condition) throw new ContractError(rule);
}
