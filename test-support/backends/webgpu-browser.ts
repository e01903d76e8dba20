import { attempt, type Open } from '../backend.ts';

export const open: Open = () =>
  attempt('webgpu-browser', async () => {
    if (!navigator.gpu) throw new Error('this browser has no navigator.gpu');
    return (await import('@heddle/tensor/webgpu')).openWebGpu({ gpu: navigator.gpu });
  });
