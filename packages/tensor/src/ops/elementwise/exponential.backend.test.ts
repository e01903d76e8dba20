import { operations } from '../../../../../test-support/operations.ts';
import { exponentialCases } from './exponential.cases.ts';

operations('exponential', exponentialCases);
