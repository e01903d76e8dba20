// The worker of a checkout, in which the sources are not built.
import { register } from 'tsx/esm/api';

register();
await import('./engine-worker.ts');
