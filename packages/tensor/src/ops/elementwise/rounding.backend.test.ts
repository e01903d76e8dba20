import { operations } from '../../../../../test-support/operations.ts';
import { roundingCases } from './rounding.cases.ts';

operations('rounding', roundingCases);
