import type { PreludeFunction } from '../../graph/webgpu-lowering.ts';
import type { Elementwise } from './define-elementwise.ts';

/** WGSL: an operator between two values. */
export function infix(operator: string): Elementwise['webgpu'] {
  return ([a, b]) => `(${a} ${operator} ${b})`;
}

/** WGSL: a call of a function that the language has. */
export function call(name: string): Elementwise['webgpu'] {
  return (values) => `${name}(${values.join(', ')})`;
}

/** WGSL: a call of a function of the prelude. */
export function callPrelude(name: PreludeFunction): Elementwise['webgpu'] {
  return (values, _, prelude) => `${prelude[name]}(${values.join(', ')})`;
}
