import { operations } from '../../../../../test-support/operations.ts';
import { concatCases } from './concat.cases.ts';

operations('concat', concatCases);
