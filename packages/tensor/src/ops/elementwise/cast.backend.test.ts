import { operations } from '../../../../../test-support/operations.ts';
import { castCases } from './cast.cases.ts';

operations('cast', castCases);
