import { checkArguments, checkOptions } from '@heddle/tensor';
import { checkReport, type StepReport } from '../loop/step-report.ts';

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Bytes for people: 1536 is '1.5 KiB'. */
export function formatBytes(bytes: number): string {
  checkArguments('formatBytes', 'number', { bytes });
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[power]}`;
}

/** Seconds for people: 3725 is '1:02:05'. */
export function formatDuration(seconds: number): string {
  checkArguments('formatDuration', 'number', { seconds });
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/**
 * A report as a line for a terminal: a bar and the time that is left where `steps` is named, loss, rate, norm, speed, memory.
 * ```ts
 * process.stderr.write(`\r${progressLine(report, { steps: 1000 })}`);
 * ```
 */
export function progressLine(
  report: StepReport,
  options: { readonly steps?: number; readonly width?: number } = {},
): string {
  checkReport('progressLine', report);
  checkOptions('progressLine', options, { steps: 'size?', width: 'whole?' });
  const { steps, width = 20 } = options;
  const { step, loss, evaluation, learningRate, gradientNorm, tokensPerSecond, seconds, memory, applied } = report;
  const parts: string[] = [];
  if (steps !== undefined) {
    const done = Math.round((width * (step + 1)) / steps);
    parts.push(`${'█'.repeat(Math.min(width, done))}${'░'.repeat(Math.max(0, width - done))} ${step + 1}/${steps}`);
    parts.push(`${formatDuration((steps - step - 1) * seconds)} left`);
  } else parts.push(`step ${step + 1}`);
  parts.push(`loss ${loss.toFixed(4)}${applied ? '' : ' (skipped)'}`);
  if (evaluation) parts.push(`evaluation ${evaluation.loss.toFixed(4)}`);
  parts.push(`rate ${learningRate.toExponential(2)}`, `norm ${gradientNorm.toFixed(3)}`);
  parts.push(
    tokensPerSecond === undefined
      ? `${seconds.toFixed(3)} s`
      : `${Math.round(tokensPerSecond).toLocaleString('en')} tok/s`,
  );
  parts.push(formatBytes(memory.live));
  return parts.join(' · ');
}
