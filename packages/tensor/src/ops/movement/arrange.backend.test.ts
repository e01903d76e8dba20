import { operations } from '../../../../../test-support/operations.ts';
import { arrangeCases } from './arrange.cases.ts';

operations('arrange', arrangeCases);
