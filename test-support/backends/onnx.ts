import { attempt, type Open } from '../backend.ts';

export const open: Open = () => attempt('onnx', async () => (await import('@heddle/tensor/onnx')).openOnnx());
