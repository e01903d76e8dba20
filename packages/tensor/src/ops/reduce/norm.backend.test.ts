import { operations } from '../../../../../test-support/operations.ts';
import { normCases } from './norm.cases.ts';

operations('norm', normCases);
