import { operations } from '../../../../../test-support/operations.ts';
import { remainderCases } from './remainder.cases.ts';

operations('remainder', remainderCases);
