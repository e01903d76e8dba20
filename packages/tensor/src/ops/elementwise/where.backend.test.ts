import { operations } from '../../../../../test-support/operations.ts';
import { whereCases } from './where.cases.ts';

operations('where', whereCases);
