import { expect, test } from 'vitest';
import {
  ArgumentError,
  DeviceError,
  DeviceLostError,
  DisposedError,
  DTypeError,
  FileFormatError,
  HeddleError,
  isHeddleError,
  OutOfMemoryError,
  ShapeError,
} from './errors.ts';

test('each class has its name and code', () => {
  const made: [HeddleError, string, string][] = [
    [new ShapeError('m'), 'ShapeError', 'ERR_SHAPE'],
    [new DTypeError('m'), 'DTypeError', 'ERR_DTYPE'],
    [new DisposedError('m'), 'DisposedError', 'ERR_DISPOSED'],
    [new DeviceError('m'), 'DeviceError', 'ERR_DEVICE'],
    [new DeviceLostError('m'), 'DeviceLostError', 'ERR_DEVICE_LOST'],
    [new OutOfMemoryError('m'), 'OutOfMemoryError', 'ERR_OUT_OF_MEMORY'],
    [new FileFormatError('m'), 'FileFormatError', 'ERR_FILE_FORMAT'],
    [new ArgumentError('m'), 'ArgumentError', 'ERR_ARGUMENT'],
  ];
  for (const [error, name, code] of made) {
    expect(error).toBeInstanceOf(HeddleError);
    expect([error.name, error.code, error.message]).toEqual([name, code, 'm']);
    expect(isHeddleError(error)).toBe(true);
    expect(isHeddleError(error, code)).toBe(true);
    expect(isHeddleError(error, 'ERR_OTHER')).toBe(false);
  }
});

test('a narrower code and a cause are kept; without one there is no cause property', () => {
  const cause = new Error('inner');
  const error = new FileFormatError('outer', { code: 'ERR_SAFETENSORS_HEADER', cause });
  expect([error.code, error.cause]).toEqual(['ERR_SAFETENSORS_HEADER', cause]);
  expect('cause' in new FileFormatError('alone')).toBe(false);
});

test('the brand is found on errors of another copy of the package, and on nothing else', () => {
  const foreign = Object.assign(new Error('m'), { code: 'ERR_SHAPE', [Symbol.for('heddle.error')]: true });
  expect(isHeddleError(foreign, 'ERR_SHAPE')).toBe(true);
  for (const value of [new Error('m'), null, undefined, 'ERR_SHAPE', { code: 'ERR_SHAPE' }]) {
    expect(isHeddleError(value)).toBe(false);
  }
});
