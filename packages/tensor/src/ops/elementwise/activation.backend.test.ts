import { operations } from '../../../../../test-support/operations.ts';
import { activationCases } from './activation.cases.ts';

operations('activation', activationCases);
