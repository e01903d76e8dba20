import { operations } from '../../../../test-support/operations.ts';
import { lossCases } from './loss.cases.ts';

operations('loss', lossCases);
