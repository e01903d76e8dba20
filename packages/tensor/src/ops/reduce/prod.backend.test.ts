import { operations } from '../../../../../test-support/operations.ts';
import { prodCases } from './prod.cases.ts';

operations('prod', prodCases);
