import { expect, test } from 'vitest';
import { storedType } from './stored-type.ts';

test('a head keeps six bits where other matrices have four, and what else matrices have', () => {
  for (const dtype of ['q4_k', 'q4_0', 'mxfp4'] as const) {
    expect(storedType([7, 256], dtype, true)).toBe('q6_k');
    expect(storedType([7, 256], dtype, false)).toBe(dtype);
  }
  for (const dtype of ['f16', 'q8_0', 'q6_k', 'q5_k'] as const) expect(storedType([7, 256], dtype, true)).toBe(dtype);
});

test('rows of no whole blocks take smaller ones, or none; vectors stay as they are', () => {
  expect(storedType([7, 96], 'q4_k', false)).toBe('q8_0');
  expect(storedType([7, 96], 'q4_0', true)).toBe('q8_0');
  expect(storedType([7, 96], 'q4_0', false)).toBe('q4_0');
  expect(storedType([7, 33], 'q4_k', false)).toBe('f16');
  expect(storedType([256], 'q4_k', false)).toBe('f32');
});
