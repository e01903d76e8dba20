import { operations } from '../../../../test-support/operations.ts';
import { comparisonCases } from './comparison.cases.ts';

operations('comparison', comparisonCases);
