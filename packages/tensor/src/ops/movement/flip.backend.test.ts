import { operations } from '../../../../../test-support/operations.ts';
import { flipCases } from './flip.cases.ts';

operations('flip', flipCases);
