import { inject } from 'vitest';
import type { Open } from '../backend.ts';

/** The back end that vitest.config.ts found unable to run on this machine. */
export const open: Open = async () => ({ missing: `${inject('backend')}: ${inject('unavailable')}` });
