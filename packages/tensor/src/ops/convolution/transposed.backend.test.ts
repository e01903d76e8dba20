import { operations } from '../../../../../test-support/operations.ts';
import { transposedCases } from './transposed.cases.ts';

operations('transposed', transposedCases);
