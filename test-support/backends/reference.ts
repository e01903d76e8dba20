import { attempt, type Open } from '../backend.ts';

export const open: Open = () =>
  attempt('reference', async () => (await import('@heddle/tensor/reference')).openReference());
