import { operations } from '../../../../../test-support/operations.ts';
import { poolingCases } from './pooling.cases.ts';

operations('pooling', poolingCases);
