import { operations } from '../../../../test-support/operations.ts';
import { nnCases } from './nn.cases.ts';

operations('nn', nnCases);
