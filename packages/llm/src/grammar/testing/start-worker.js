// A worker of TypeScript sources, for tests.
import { register } from 'tsx/esm/api';

register();
await import('../grammar-worker.ts');
