import { main } from './main.ts';

const interrupted = new AbortController();
const stop = () => interrupted.abort();
process.on('SIGINT', stop);
process.on('SIGTERM', stop);
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // a reader that went away (heddle ... | head) is no failure
  if (error.code === 'EPIPE') return stop();
  process.stderr.write(`heddle: standard output: ${error.message}\n`);
  process.exit(1);
});
// figures that nobody reads are no failure either
process.stderr.on('error', () => {});

process.exitCode = await main(process.argv.slice(2), interrupted.signal);
process.off('SIGINT', stop);
process.off('SIGTERM', stop);
