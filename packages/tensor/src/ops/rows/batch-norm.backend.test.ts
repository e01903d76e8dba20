import { operations } from '../../../../../test-support/operations.ts';
import { batchNormCases } from './batch-norm.cases.ts';

operations('batch norm', batchNormCases);
