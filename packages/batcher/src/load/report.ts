import { atLeast0, checkArgument, checkOptions, object, optional } from '../checks.ts';

/** Mean and quantiles of a measurement, ms; `NaN` where nothing was measured. */
export interface Spread {
  readonly mean: number;
  readonly median: number;
  readonly p95: number;
  readonly p99: number;
}

/** What a request must keep to count as good, in ms; what is not named is not asked. */
export interface ServiceLevel {
  readonly ttftMs?: number;
  readonly tpotMs?: number;
  readonly e2eMs?: number;
}

/** What a load measured: the figures of `vllm bench serve`. */
export interface LoadReport {
  readonly completed: number;
  readonly failed: number;
  readonly durationMs: number;
  readonly promptTokens: number;
  readonly newTokens: number;
  readonly requestsPerSecond: number;
  /** Completed requests that kept the service level, per second; `undefined` where none was asked. */
  readonly goodRequestsPerSecond: number | undefined;
  readonly newTokensPerSecond: number;
  readonly totalTokensPerSecond: number;
  /** Time to first token. */
  readonly ttftMs: Spread;
  /** Time per output token, the first one excluded, per request. */
  readonly tpotMs: Spread;
  /** Time between the moments at which a request got tokens. */
  readonly itlMs: Spread;
  /** End to end. */
  readonly e2eMs: Spread;
}

interface Line {
  readonly promptTokens: number;
  readonly sentAt: number;
  firstAt: number;
  lastAt: number;
  newTokens: number;
}

/** Takes the times of a load and makes the report. Times in ms of any one clock. @throws BatcherError ERR_ARGUMENT */
export class LoadRecorder {
  readonly #open: Map<string, Line> = new Map();
  readonly #gaps: number[] = [];
  readonly #ttft: number[] = [];
  readonly #tpot: number[] = [];
  readonly #e2e: number[] = [];
  readonly #level: ServiceLevel | undefined;
  #startedAt = Number.POSITIVE_INFINITY;
  #endedAt = 0;
  #failed = 0;
  #good = 0;
  #promptTokens = 0;
  #newTokens = 0;

  constructor(level?: ServiceLevel) {
    checkLevel('LoadRecorder', level);
    this.#level = level;
  }

  /** A request was sent, at a time in ms. */
  sent(id: string, promptTokens: number, at: number): void {
    this.#startedAt = Math.min(this.#startedAt, at);
    this.#open.set(id, { promptTokens, sentAt: at, firstAt: 0, lastAt: 0, newTokens: 0 });
  }

  /** `count` tokens arrived together. */
  tokens(id: string, count: number, at: number): void {
    const line = this.#open.get(id);
    if (!line) return;
    if (line.newTokens === 0) line.firstAt = at;
    else this.#gaps.push(at - line.lastAt);
    line.newTokens += count;
    line.lastAt = at;
  }

  /** A request has all of its tokens. */
  completed(id: string, at: number): void {
    const line = this.#close(id, at);
    if (!line) return;
    const { promptTokens, sentAt, firstAt, lastAt, newTokens } = line;
    const e2e = at - sentAt;
    const ttft = newTokens > 0 ? firstAt - sentAt : undefined;
    const tpot = newTokens > 1 ? (lastAt - firstAt) / (newTokens - 1) : undefined;
    this.#promptTokens += promptTokens;
    this.#newTokens += newTokens;
    this.#e2e.push(e2e);
    if (ttft !== undefined) this.#ttft.push(ttft);
    if (tpot !== undefined) this.#tpot.push(tpot);
    const { ttftMs, tpotMs, e2eMs } = this.#level ?? {};
    if (keeps(ttft, ttftMs) && keeps(tpot, tpotMs) && keeps(e2e, e2eMs)) this.#good++;
  }

  /** Rejected, aborted or failed. */
  failed(id: string, at: number): void {
    this.#close(id, at);
    this.#failed++;
  }

  /** What came so far. */
  report(): LoadReport {
    const durationMs = Math.max(0, this.#endedAt - this.#startedAt);
    const perSecond = (count: number) => (durationMs > 0 ? (count * 1000) / durationMs : Number.NaN);
    return {
      completed: this.#e2e.length,
      failed: this.#failed,
      durationMs,
      promptTokens: this.#promptTokens,
      newTokens: this.#newTokens,
      requestsPerSecond: perSecond(this.#e2e.length),
      goodRequestsPerSecond: this.#level ? perSecond(this.#good) : undefined,
      newTokensPerSecond: perSecond(this.#newTokens),
      totalTokensPerSecond: perSecond(this.#promptTokens + this.#newTokens),
      ttftMs: spread(this.#ttft),
      tpotMs: spread(this.#tpot),
      itlMs: spread(this.#gaps),
      e2eMs: spread(this.#e2e),
    };
  }

  #close(id: string, at: number): Line | undefined {
    const line = this.#open.get(id);
    this.#open.delete(id);
    this.#endedAt = Math.max(this.#endedAt, at);
    return line;
  }
}

/** The report as a table for people. @throws BatcherError ERR_ARGUMENT */
export function formatReport(report: LoadReport): string {
  for (const name of ['ttftMs', 'tpotMs', 'itlMs', 'e2eMs'] as const)
    checkArgument('formatReport', `report.${name}`, report?.[name], object);
  const row = (name: string, value: number | undefined, digits = 2) =>
    `${`${name}:`.padEnd(34)}${value === undefined ? '-' : value.toFixed(digits)}`;
  const spreads = [
    ['TTFT (time to first token)', report.ttftMs],
    ['TPOT (time per output token)', report.tpotMs],
    ['ITL (inter-token latency)', report.itlMs],
    ['E2E (end to end)', report.e2eMs],
  ] as const;
  return [
    row('Completed requests', report.completed, 0),
    row('Failed requests', report.failed, 0),
    row('Duration (s)', report.durationMs / 1000),
    row('Prompt tokens', report.promptTokens, 0),
    row('Generated tokens', report.newTokens, 0),
    row('Request throughput (req/s)', report.requestsPerSecond),
    row('Request goodput (req/s)', report.goodRequestsPerSecond),
    row('Generated throughput (tok/s)', report.newTokensPerSecond),
    row('Total throughput (tok/s)', report.totalTokensPerSecond),
    `${'ms'.padEnd(34)}${['mean', 'median', 'p95', 'p99'].map((name) => name.padStart(12)).join('')}`,
    ...spreads.map(([name, { mean, median, p95, p99 }]) => {
      return `${name.padEnd(34)}${[mean, median, p95, p99].map((ms) => ms.toFixed(2).padStart(12)).join('')}`;
    }),
  ].join('\n');
}

function keeps(value: number | undefined, most: number | undefined): boolean {
  return value === undefined || most === undefined || value <= most;
}

function spread(values: readonly number[]): Spread {
  const sorted = Float64Array.from(values).sort();
  const at = (q: number) => {
    const rank = q * (sorted.length - 1);
    const low = sorted[Math.floor(rank)] ?? Number.NaN;
    return low + ((sorted[Math.ceil(rank)] ?? low) - low) * (rank - Math.floor(rank));
  };
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  return { mean, median: at(0.5), p95: at(0.95), p99: at(0.99) };
}

/** @throws BatcherError ERR_ARGUMENT naming `operation` */
export function checkLevel(operation: string, level: ServiceLevel | undefined): void {
  const limits = { ttftMs: optional(atLeast0), tpotMs: optional(atLeast0), e2eMs: optional(atLeast0) };
  if (level !== undefined) checkOptions<ServiceLevel>(operation, level, limits);
}
