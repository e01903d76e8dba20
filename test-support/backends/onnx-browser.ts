import { attempt, type Open } from '../backend.ts';

export const open: Open = () =>
  attempt('onnx-browser', async () => {
    if (!crossOriginIsolated) throw new Error('the page is not cross-origin isolated: ONNX Runtime has one thread');
    const runtime = await import('onnxruntime-web/wasm');
    return (await import('@heddle/tensor/onnx')).openOnnx({ runtime });
  });
