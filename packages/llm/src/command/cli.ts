import { main } from './main.ts';

const interrupted = new AbortController();
const stop = () => interrupted.abort();
process.on('SIGINT', stop);
process.on('SIGTERM', stop);
// a reader that went away (heddle ... | head) is no failure
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  stop();
});

process.exitCode = await main(process.argv.slice(2), interrupted.signal);
process.off('SIGINT', stop);
process.off('SIGTERM', stop);
