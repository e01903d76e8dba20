import { operations } from '../../../../../test-support/operations.ts';
import { erfCases } from './erf.cases.ts';

operations('erf', erfCases);
