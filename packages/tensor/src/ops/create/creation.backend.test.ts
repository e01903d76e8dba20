import { operations } from '../../../../../test-support/operations.ts';
import { creationCases } from './creation.cases.ts';

operations('creation', creationCases);
