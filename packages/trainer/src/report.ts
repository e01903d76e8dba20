/**
 * `@heddle/trainer/report`: training for people: lines for terminals, logs, and pages with plots.
 */
export { type MemoryStatistics, memoryStatistics } from './memory/memory-statistics.ts';
export { htmlReport, type ReportedRun } from './report/html-report.ts';
export { openLog, type ReportLog, readLog } from './report/log.ts';
export { formatBytes, formatDuration, progressLine } from './report/progress-line.ts';
