import { operations } from '../../../../../test-support/operations.ts';
import { extremumCases } from './extremum.cases.ts';

operations('extremum', extremumCases);
