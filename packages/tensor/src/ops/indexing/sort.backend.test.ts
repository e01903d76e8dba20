import { operations } from '../../../../../test-support/operations.ts';
import { sortCases } from './sort.cases.ts';

operations('sort', sortCases);
