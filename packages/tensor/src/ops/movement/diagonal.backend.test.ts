import { operations } from '../../../../../test-support/operations.ts';
import { diagonalCases } from './diagonal.cases.ts';

operations('diagonal', diagonalCases);
