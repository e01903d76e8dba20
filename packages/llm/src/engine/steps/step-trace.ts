import { checkArguments } from '@heddle/tensor';
/** When a step of an engine did what, in `performance.now()` milliseconds. */
export interface StepTimes {
  /** Running number, from 0. */
  readonly step: number;
  readonly sequences: number;
  /** Token rows that it computed. */
  readonly tokens: number;
  /** When it was planned; it then waits for the step before it to be submitted. */
  readonly planned: number;
  /** Its layout begins. */
  readonly begun: number;
  /** Everything is on its way to the device. */
  readonly submitted: number;
  /** Its tokens are on the host. */
  readonly read: number;
  /** Its results are ready, samplers of the host included. */
  readonly completed: number;
}

/** An event of the Chrome trace format (https://www.chromium.org/developers/how-tos/trace-event-profiling-tool), in microseconds. */
export interface TraceEvent {
  readonly name: string;
  readonly ph: 'X';
  readonly ts: number;
  readonly dur: number;
  readonly pid: number;
  readonly tid: number;
  readonly args: Readonly<Record<string, number>>;
}

/**
 * Steps in the Chrome trace format, for `chrome://tracing` or ui.perfetto.dev: a row for what the host submits, and one for each
 * step in flight, from its submission to its tokens.
 *
 * ```ts
 * const steps: StepTimes[] = [];
 * const engine = openEngine(model, { onStep: (step) => steps.push(step) });
 * // ... generate ...
 * await writeFile('trace.json', JSON.stringify(chromeTrace(steps)));
 * ```
 */
export function chromeTrace(steps: readonly StepTimes[]): { readonly traceEvents: readonly TraceEvent[] } {
  checkArguments('chromeTrace', 'list', { steps });
  const rows: number[] = [];
  const events = steps.flatMap(({ step, sequences, tokens, planned, begun, submitted, read, completed }) => {
    // the first row in which the step before is over
    const free = rows.findIndex((until) => until <= submitted);
    const row = free < 0 ? rows.length : free;
    rows[row] = completed;
    const args = { step, sequences, tokens };
    const event = (name: string, tid: number, from: number, to: number): TraceEvent => {
      return { name, ph: 'X', ts: 1000 * from, dur: 1000 * Math.max(0, to - from), pid: 1, tid, args };
    };
    return [
      event('wait for the step before', 1, planned, begun),
      event('encode and submit', 1, begun, submitted),
      event('device and read back', 2 + row, submitted, read),
      event('results', 2 + row, read, completed),
    ];
  });
  return { traceEvents: events };
}
