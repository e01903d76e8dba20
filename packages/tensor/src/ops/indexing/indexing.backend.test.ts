import { operations } from '../../../../../test-support/operations.ts';
import { indexingCases } from './indexing.cases.ts';

operations('indexing', indexingCases);
