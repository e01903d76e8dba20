import { type Case, exactly, floats, halves } from '../../../../test-support/cases.ts';
import { einsum } from './einsum.ts';

const [a, b] = [floats([3, 4]), floats([4, 2])];

export const einsumCases: readonly Case[] = [
  { name: 'einsum of matrices', inputs: [a, b], f: (x, y) => einsum('ij,jk->ik', x, y) },
  { name: 'einsum without a result', inputs: [a, b], f: (x, y) => einsum('ij, jk', x, y) },
  { name: 'einsum transposed', inputs: [a, b], f: (x, y) => einsum('ij,jk->ki', x, y) },
  {
    name: 'einsum of a batch',
    inputs: [floats([2, 3, 4]), floats([2, 4, 2])],
    f: (x, y) => einsum('bij,bjk->bik', x, y),
  },
  {
    name: 'einsum of heads',
    inputs: [floats([2, 3, 2, 4]), floats([2, 5, 2, 4])],
    f: (q, k) => einsum('blhd,bshd->bhls', q, k),
  },
  { name: 'einsum of a sum', inputs: [a], f: (x) => einsum('ij->', x) },
  { name: 'einsum of a row sum', inputs: [a], f: (x) => einsum('ij->i', x) },
  { name: 'einsum of a transposition', inputs: [a], f: (x) => einsum('ij->ji', x) },
  { name: 'einsum of a trace', inputs: [floats([3, 3])], f: (x) => einsum('ii', x) },
  { name: 'einsum of a diagonal', inputs: [floats([2, 3, 3])], f: (x) => einsum('bii->ib', x) },
  { name: 'einsum of an outer product', inputs: [floats([3]), floats([2])], f: (x, y) => einsum('i,j->ij', x, y) },
  {
    name: 'einsum of an inner product',
    inputs: [floats([5]), floats([5], -2, 2, 1)],
    f: (x, y) => einsum('i,i', x, y),
  },
  {
    name: 'einsum of a Hadamard product',
    inputs: [a, floats([3, 4], -2, 2, 1)],
    f: (x, y) => einsum('ij,ij->ij', x, y),
  },
  {
    name: 'einsum of three',
    inputs: [a, b, floats([2, 3], -2, 2, 1)],
    f: (x, y, z) => einsum('ij,jk,kl->il', x, y, z),
  },
  {
    name: 'einsum over two axes',
    inputs: [floats([2, 3, 4]), floats([3, 4, 2])],
    f: (x, y) => einsum('aij,ijb->ab', x, y),
  },
  { name: 'einsum sums what one operand has alone', inputs: [a, b], f: (x, y) => einsum('ij,jk->k', x, y) },
  {
    name: 'einsum with an ellipsis',
    inputs: [floats([2, 3, 4]), floats([4, 2])],
    f: (x, y) => einsum('...ij,jk->...ik', x, y),
  },
  {
    name: 'einsum with ellipses that broadcast',
    inputs: [floats([2, 1, 3, 4]), floats([5, 4, 2])],
    f: (x, y) => einsum('...ij,...jk->...ik', x, y),
  },
  {
    name: 'einsum f16',
    inputs: [halves([3, 4]), halves([4, 2])],
    f: (x, y) => einsum('ij,jk->ik', x, y),
  },
  {
    name: 'einsum that puts values on a diagonal',
    inputs: [exactly('f32', [2], [3, 5])],
    f: (x) => einsum('i->ii', x),
    expected: [3, 0, 0, 5],
  },
  { name: 'einsum with a diagonal of three axes', inputs: [floats([2, 3])], f: (x) => einsum('bi->ibi', x) },
  {
    name: 'einsum whose letters broadcast',
    inputs: [exactly('f32', [2, 1], [2, 3]), exactly('f32', [3, 2], [1, 2, 3, 4, 5, 6])],
    f: (a, b) => einsum('ij,jk->ik', a, b),
    expected: [18, 24, 27, 36],
  },
];
