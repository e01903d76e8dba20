import { operations } from '../../../../../test-support/operations.ts';
import { matmulCases } from './matmul.cases.ts';

operations('matmul', matmulCases);
