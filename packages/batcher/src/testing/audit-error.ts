/** A rule that the audited component broke. */
export class AuditError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'AuditError';
  }
}

/** @throws AuditError unless `holds` */
export function must(holds: boolean, rule: string, got: unknown): void {
  if (!holds) throw new AuditError(`${rule}; got ${JSON.stringify(got)}`);
}
